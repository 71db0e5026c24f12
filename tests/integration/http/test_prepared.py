"""Prepared statements: values go into their slots, and a slot without a value is a mistake, not a null."""

from uuid import UUID

import pytest
from sqlalchemy import select, update

from api.errors import NotFound
from api.prepared import Prepared, slot
from api.schema import charge_points
from tests.integration.http.site import Person, Site

BY_ID = select(charge_points).where(charge_points.c.id == slot("id", UUID), charge_points.c.name != "nothing")


async def test_rows_read_as_sqlalchemys_do(site: Site, owner: Person) -> None:
    created = await owner.charge_point()
    await site.accept(created["id"])
    values = {"id": UUID(created["id"])}
    async with site.app.state.database.transaction() as transaction, site.app.state.database.reading() as reading:
        expected = (await transaction.execute(select(charge_points).where(charge_points.c.id == values["id"]))).one()
        for connection in (transaction, reading):
            row = await Prepared(BY_ID).one(connection, values)
            assert dict(row._mapping) == dict(expected._mapping)
            assert row.boot == {"chargePointVendor": "Acme", "chargePointModel": "Wall 11"}
            assert getattr(row, "nothing", None) is None
            with pytest.raises(NotFound):
                await Prepared(BY_ID).one(connection, {"id": UUID(int=1)})


async def test_in_a_transaction_it_sees_what_the_transaction_did(site: Site, owner: Person) -> None:
    values = {"id": UUID((await owner.charge_point())["id"])}
    prepared, database = Prepared(BY_ID), site.app.state.database
    async with database.transaction() as transaction:
        await transaction.execute(update(charge_points).where(charge_points.c.id == values["id"]).values(name="New"))
        inside = await prepared.one(transaction, values)
        async with database.reading() as reading:
            outside = await prepared.one(reading, values)
    async with database.reading() as reading:
        after = await prepared.one(reading, values)
    assert [each.name for each in (inside, outside, after)] == ["New", "Garage", "New"]


async def test_the_first_statement_of_a_transaction_begins_it(site: Site, owner: Person) -> None:
    created = UUID((await owner.charge_point())["id"])
    async with site.app.state.database.engine.connect() as connection:
        await Prepared(BY_ID).one(connection, {"id": created})
        await connection.execute(update(charge_points).where(charge_points.c.id == created).values(name="New"))
        await connection.rollback()
    assert await site.value("select name from charge_points where id = $1", created) == "Garage"


async def test_a_slot_without_a_value_is_a_mistake(site: Site) -> None:
    async with site.app.state.database.reading() as reading:
        with pytest.raises(KeyError, match="id"):
            await Prepared(BY_ID).fetch(reading, {"identity": "x"})


def test_a_slot_is_no_value() -> None:
    with pytest.raises(TypeError):
        bool(slot("flag", int))
