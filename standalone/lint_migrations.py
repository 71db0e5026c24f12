"""squawk over the SQL of the migrations: fails where one holds a lock for long on a table that may be large.

A revision that must do it nonetheless has `accepted_locks = {"name of squawk's rule": "why it does no harm"}`.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic.script import Script, ScriptDirectory

from standalone.databases import REPOSITORY, DatabaseUrls, alembic

RELEASED: Final = "c8f2d5a1e630"
"""The newest revision of the last release (of none yet): what came up to it is there, however it was made."""
POSTGRESQL: Final = "17.0"
LARGE: Final = frozenset(
    {
        "commands",
        "idempotency_keys",
        "message_log",
        "meter_values",
        "refresh_tokens",
        "security_events",
        "settlements",
        "transaction_stops",
        "transactions",
        "transfers",
        "unprocessed",
    }
)
"""Tables that grow with use. In the others even a rewrite is over at once."""
LOCKS: Final = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-required-field",
        "adding-serial-primary-key-field",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
        "require-concurrent-partition-attach",
        "require-concurrent-partition-detach",
        "require-concurrent-reindex",
        "require-concurrent-refresh-materialized-view",
    }
)
"""squawk's rules about statements that read or write a whole table under a lock."""
NOBODY: Final = DatabaseUrls("postgresql://voltuj_owner@localhost/voltuj", "postgresql://voltuj_api@localhost/voltuj")
"""Only the role's name goes into the SQL; nobody is connected to."""


@dataclass(frozen=True)
class Complaint:
    """One of squawk's, and the statement that it is about."""

    rule: str
    message: str
    statement: str


class LintError(Exception):
    """The SQL could not be made or read; the message says why."""


def sql_of(revision: Script, repository: Path) -> str:
    """The SQL of one revision, as `alembic upgrade --sql` prints it.

    Raises:
        LintError: it needs the answers of a database; then it has to be split.
    """
    span = f"{revision.down_revision}:{revision.revision}"
    made = alembic(NOBODY, "upgrade", span, "--sql", folder=repository)
    if made.returncode != 0:
        raise LintError(f"{revision.revision} gives no SQL without a database:\n{made.stderr[-1000:]}")
    return made.stdout


def complaints(sql: str) -> list[Complaint]:
    """What squawk has against the SQL, as far as large tables are locked by it."""
    command = [str(Path(sys.executable).with_name("squawk")), "--reporter", "json", "--pg-version", POSTGRESQL]
    done = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout or "[]")
    except ValueError as error:
        raise LintError(f"squawk: {done.stderr or done.stdout}") from error
    each = (Complaint(one["rule_name"], one["message"], statement_at(sql, one["line"])) for one in found)
    return [one for one in each if one.rule == "syntax-error" or (one.rule in LOCKS and is_large(one.statement))]


def statement_at(sql: str, line: int) -> str:
    """The statement to which the line, counted from 0, belongs."""
    lines = sql.splitlines()
    end = next((n for n in range(line, len(lines)) if lines[n].rstrip().endswith(";")), len(lines) - 1)
    begin = next((n for n in range(line, 0, -1) if lines[n - 1].rstrip().endswith(";")), 0)
    return "\n".join(lines[begin : end + 1]).strip()


def is_large(statement: str) -> bool:
    """Whether the statement names a large table, or an index that carries the name of one."""
    return any(table in statement.lower() for table in LARGE)


def lint(repository: Path = REPOSITORY) -> list[str]:
    """A sentence for each complaint that no revision accepts, and each acceptance that nothing needs."""
    wrong = []
    scripts = ScriptDirectory(str(repository / "api" / "migrations"))
    for revision in scripts.walk_revisions(RELEASED, "heads"):
        if revision.revision == RELEASED:
            continue
        accepted = dict(getattr(revision.module, "accepted_locks", {}))
        found = complaints(sql_of(revision, repository))
        wrong += [
            f"{revision.revision}: {one.rule}: {one.message}\n{one.statement}"
            for one in found
            if not accepted.get(one.rule)
        ]
        unneeded = set(accepted) - {one.rule for one in found}
        wrong += [f"{revision.revision}: accepted_locks names {rule}, which nothing needs" for rule in sorted(unneeded)]
    return wrong


def main() -> int:
    """Lints the repository's migrations; the exit status is 1 where something is wrong."""
    try:
        wrong = lint()
    except LintError as error:
        wrong = [str(error)]
    for each in wrong:
        print(each, file=sys.stderr)
    if not wrong:
        print("squawk: no migration since the last release locks a large table for long")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
