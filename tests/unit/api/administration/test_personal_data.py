"""Every table is exported or it is said why not; every table that names a person is erased or kept by name."""

from sqlalchemy import LargeBinary, Table

from api.administration.personal_data import ERASED, EXPORTED, KEPT, NOT_EXPORTED, THROUGH, WITHHELD
from api.schema import metadata


def names_a_person(table: Table) -> bool:
    return table.name in {"users", "events"} or any(
        key.column.table.name == "users" for column in table.c for key in column.foreign_keys
    )


def test_each_table_is_exported_or_is_said_why_not() -> None:
    assert set(EXPORTED) | set(NOT_EXPORTED) == set(metadata.tables)
    assert not set(EXPORTED) & set(NOT_EXPORTED)
    assert all(NOT_EXPORTED.values())


def test_what_names_a_person_is_exported() -> None:
    people = {table.name for table in metadata.tables.values() if names_a_person(table)}
    assert len(people) > 10
    assert people <= set(EXPORTED)


def test_what_names_a_person_is_erased_or_kept_by_name() -> None:
    people = {table.name for table in metadata.tables.values() if names_a_person(table)}
    assert people | {"refresh_tokens", "webhook_deliveries"} == set(KEPT) | set(ERASED)
    assert not set(KEPT) & set(ERASED)


def test_no_digest_of_a_secret_is_exported() -> None:
    exported = {
        f"{name}.{column.name}"
        for name in EXPORTED
        for column in metadata.tables[name].c
        if isinstance(column.type, LargeBinary) and column.name not in WITHHELD
    }
    assert exported == {"files.sha256"}


def test_each_way_to_a_person_is_a_column_or_is_described() -> None:
    for name, said in EXPORTED.items():
        assert said in THROUGH or said in metadata.tables[name].c, name
    assert set(THROUGH) <= set(EXPORTED.values())


def test_no_secret_is_exported() -> None:
    named = {column.name for name in EXPORTED for column in metadata.tables[name].c if column.name not in WITHHELD}
    assert not [name for name in named if "secret" in name or "password" in name]
