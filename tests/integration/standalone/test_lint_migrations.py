"""What `make check` says of a migration that would hold up the wallboxes, on a copy with one revision more."""

from pathlib import Path

import pytest

from standalone.lint_migrations import LintError, lint, statement_at
from tests.harness.release import NEXT, next_release


def linted(folder: Path, *statements: str, more: str = "") -> list[str]:
    upgrade = "\n    ".join(f"op.execute({statement!r})" for statement in statements)
    return lint(next_release(folder / "next", upgrade, more=more))


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("create index ix_transactions_new on transactions (revision)", "require-concurrent-index-creation"),
        ("drop index ix_transactions_id_tag_active", "require-concurrent-index-deletion"),
        ("alter table transactions add constraint new check (occurrence > 0)", "constraint-missing-not-valid"),
        ("alter table transactions alter column occurrence type bigint", "changing-column-type"),
        ("alter table transfers alter column booked_on set not null", "adding-not-nullable-field"),
        ("alter table commands add column new uuid not null default gen_random_uuid()", "adding-field-with-default"),
        ("alter table transactions add column new bigint not null", "adding-required-field"),
        ("alter table transactions add unique (revision)", "disallowed-unique-constraint"),
        ("alter table transactions adds column", "syntax-error"),
    ],
)
def test_a_long_lock_on_a_large_table_is_named(tmp_path: Path, statement: str, rule: str) -> None:
    found = linted(tmp_path, statement)
    assert any(f"{NEXT}: {rule}: " in each and statement in each for each in found), found


def test_what_is_over_at_once_is_fine(tmp_path: Path) -> None:
    assert (
        linted(
            tmp_path,
            "alter table transactions add column new bigint",
            "alter table transactions add column other bigint not null default 7",
            "alter table transactions add constraint new_check check (new > 0) not valid",
            "create index ix_users_new on users (role)",
            "create table fresh (id bigint primary key)",
            "create index ix_fresh on fresh (id)",
        )
        == []
    )


def test_an_index_may_be_made_beside_the_work(tmp_path: Path) -> None:
    upgrade = """
    with op.get_context().autocommit_block():
        op.execute("create index concurrently ix_transactions_new on transactions (revision)")
    """
    assert lint(next_release(tmp_path / "next", upgrade)) == []


def test_a_revision_may_say_why_it_does_it_nonetheless(tmp_path: Path) -> None:
    statement = "create index ix_transactions_new on transactions (revision)"
    reason = 'accepted_locks = {"require-concurrent-index-creation": "nobody has sessions yet"}'
    assert linted(tmp_path, statement, more=reason) == []


def test_a_reason_without_a_lock_or_a_lock_without_a_reason_is_wrong(tmp_path: Path) -> None:
    statement = "create index ix_transactions_new on transactions (revision)"
    reasons = 'accepted_locks = {"require-concurrent-index-creation": "", "changing-column-type": "gone"}'
    found = linted(tmp_path, statement, more=reasons)
    assert len(found) == 2
    assert found[0].startswith(f"{NEXT}: require-concurrent-index-creation: ")
    assert found[1] == f"{NEXT}: accepted_locks names changing-column-type, which nothing needs"


def test_a_revision_that_asks_the_database_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(LintError, match="gives no SQL without a database"):
        lint(next_release(tmp_path / "next", 'op.get_bind().execute("select 1").scalar()'))


def test_a_statement_is_found_by_any_of_its_lines() -> None:
    sql = "begin;\n\ncreate table a (\n  id int\n);\n\ndrop table b;\n"
    assert statement_at(sql, 0) == "begin;"
    assert statement_at(sql, 3) == "create table a (\n  id int\n);"
    assert statement_at(sql, 6) == "drop table b;"
