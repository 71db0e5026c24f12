"""Commands as rows: whether they may be sent now, their making, and reading them. Nothing here commits or sends.

A row moves by compare-and-set: queued -> sent -> one terminal status.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Row, Select, cast, insert, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api import audit
from api.bus import LiveConnection
from api.charge_points import command_rules, security_profile
from api.charge_points.call_schemas import check_payload
from api.charge_points.command_records import record
from api.charge_points.command_rules import ACTIONS, REMOTE_START
from api.charge_points.command_state import mark_offline
from api.credit.holds import CreditTerms, keep_for_start
from api.database import find_one, raw
from api.errors import ChargingRefused, Conflict, Invalid, NotAllowed, PriceChanged
from api.idempotency import IdempotentRequest, earlier_answer, remember_answer
from api.identity import id_tags
from api.identity.caller import Caller
from api.paging import PageRequest, read_page
from api.schema import certificates, charge_points, commands, transactions
from api.sharing.access import GUEST
from api.sharing.authorization import authorize
from api.tariffs.bodies import describe_price
from api.tariffs.in_force import Version, tariff_in_force

DEADLINE: Final = timedelta(seconds=25)
"""Below the 30 s that a caller waits by default, so that the caller sees how it ended."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The version of the tariff that the caller was shown before a start; None: that there is no price."""

    tariff_version_id: UUID | None


@dataclass(frozen=True, slots=True)
class Call:
    """A CALL that a caller may send; `charge_point` is its row."""

    charge_point: Row[Any]
    action: str
    payload: dict[str, Any]
    transaction_id: int | None = None
    secret_payload: dict[str, Any] | None = None
    """What leaves in the place of `payload` and is never stored; such a CALL needs a connected charge point."""
    shown: Shown | None = None
    """Of a start: it is refused where another price holds."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Of a session that may begin: who drives, and by which version of which tariff."""

    driver_id: UUID | None = None
    price: Version | None = None


NOTHING_BEGINS: Final = Beginning()

Prepare = Callable[[AsyncConnection], Awaitable[Call]]
"""Makes the CALL of a new request; not asked where the same request is repeated."""


def check_call(action: str, payload: dict[str, Any], now: datetime) -> None:
    """Whether a CALL is one that we send, and valid by the schema and the rules of OCPP 1.6.

    Raises:
        Invalid: it is not.
    """
    if action not in ACTIONS:
        raise Invalid.field("body.action", f"must be one of {', '.join(sorted(ACTIONS))}")
    check_payload(action, payload)
    command_rules.check_rules(action, payload, now)


async def check_may_send(
    connection: AsyncConnection, caller: Caller, charge_point: Row[Any], action: str, payload: dict[str, Any]
) -> None:
    """Whether the caller's role at the charge point is enough; a guest unlocks only where the own session runs.

    Raises:
        NotAllowed: it is not.
    """
    if charge_point.role not in ACTIONS[action].roles:
        raise NotAllowed(f"Only the owner of this charge point may send {action}.")
    if charge_point.role != GUEST:
        return
    own = select(transactions.c.id).where(
        transactions.c.charge_point_id == charge_point.id,
        transactions.c.connector_id == payload.get("connectorId"),
        transactions.c.driver_id == caller.user_id,
        transactions.c.status == "active",
    )
    if (await connection.execute(own.limit(1))).first() is None:
        raise NotAllowed("You may do this only at a connector where your own session runs.")


async def check_remote_start(connection: AsyncConnection, caller: Caller, call: Call, now: datetime) -> Beginning:
    """Whether the session that a RemoteStartTransaction asks for may begin: nobody starts one in another's name.

    Raises:
        Invalid: the id tag is not the caller's.
        ChargingRefused: who may charge said no.
        PriceChanged: another price was shown.
    """
    charge_point, payload = call.charge_point, call.payload
    tag = str(payload["idTag"]).upper()
    if not caller.is_operator and await id_tags.find_own(connection, caller.user_id, tag) is None:
        raise Invalid.field("body.payload.idTag", "not one of your id tags")
    driver_connection = await raw(connection)
    decision = await authorize(driver_connection, charge_point.id, tag, now, starting_on=payload.get("connectorId", 0))
    if not decision.accepted:
        raise ChargingRefused(decision.reason, authorization_status=decision.status, code=decision.code)
    price = await tariff_in_force(driver_connection, charge_point.id, decision.grant_id, now)
    if call.shown is not None and call.shown.tariff_version_id != (price.id if price else None):
        raise PriceChanged(price=describe_price(price).model_dump(mode="json"))
    return Beginning(decision.driver_id, price)


async def check_security_profile(connection: AsyncConnection, call: Call) -> None:
    """WP A05: a security profile only rises, and the third needs a certificate first.

    Raises:
        Invalid, Conflict: this one does not.
    """
    if call.action != "ChangeConfiguration" or call.payload["key"].lower() != security_profile.KEY:
        return
    value, current = call.payload["value"], call.charge_point.security_profile
    if value not in {"1", "2", "3"}:
        raise Invalid.field("body.payload.value", "must be 1, 2 or 3")
    if int(value) <= current:
        raise Conflict(f"The security profile is {current} and only rises (WP A05).")
    accepted = select(certificates.c.id).where(
        certificates.c.charge_point_id == call.charge_point.id, certificates.c.status == "accepted"
    )
    if value == "3" and (await connection.execute(accepted.limit(1))).first() is None:
        raise Conflict("Security profile 3 needs a certificate: the charge point has accepted none yet.")


async def issue(
    connection: AsyncConnection,
    caller: Caller,
    prepare: Prepare,
    live: LiveConnection | None,
    *,
    idempotency: IdempotentRequest,
    credit: CreditTerms,
    now: datetime,
) -> UUID:
    """The row of a command, or the one that the same request made before.

    Raises:
        Conflict: the charge point is connected, and its registration forbids it.
        Invalid, ChargingRefused, CreditTooLow, PriceChanged: the session may not begin.
        InProgress, KeyReused: see `earlier_answer`.
    """
    if (earlier := await earlier_answer(connection, idempotency, caller.user_id, now)) is not None:
        return UUID(earlier["id"])
    command_id = await create(connection, caller, await prepare(connection), live, credit=credit, now=now)
    await remember_answer(connection, idempotency, caller.user_id, now, {"id": str(command_id)})
    return command_id


async def create(
    connection: AsyncConnection,
    caller: Caller,
    call: Call,
    live: LiveConnection | None,
    *,
    credit: CreditTerms | None,
    now: datetime,
    batch_id: UUID | None = None,
) -> UUID:
    """The row of a command for the connection that stands now; without one it ends as offline at once.

    Raises:
        Conflict, Invalid, ChargingRefused, CreditTooLow, PriceChanged: see `issue`.
    """
    if live is None and call.secret_payload is not None:
        raise Conflict("The charge point is not connected.")
    await check_security_profile(connection, call)
    if live is not None:
        command_rules.check_registration(call.action, call.payload, call.charge_point.registration)
    beginning = NOTHING_BEGINS
    if call.action == REMOTE_START:
        beginning = await check_remote_start(connection, caller, call, now)
    values = _row_of(call, live, now) | {
        "user_id": caller.user_id,
        "batch_id": batch_id,
        "tariff_version_id": beginning.price and beginning.price.id,
    }
    created = await connection.execute(insert(commands).values(**values).returning(commands.c.id))
    command_id: UUID = created.scalar_one()
    await record(connection, values, command_id, now, is_offline=live is None)
    if caller.is_operator and call.charge_point.owner_id != caller.user_id:
        about = {"call": call.action, "charge_point_id": str(call.charge_point.id)}
        await audit.record(connection, caller.user_id, "command.sent", command_id, now, **about)
    pays = beginning.price is not None and beginning.driver_id not in {None, call.charge_point.owner_id}
    if live is not None and credit is not None and pays:
        await _keep(connection, beginning, command_id, credit, now)
    return command_id


def _row_of(call: Call, live: LiveConnection | None, now: datetime) -> dict[str, Any]:
    return {
        "charge_point_id": call.charge_point.id,
        "action": call.action,
        "payload": call.payload,
        "status": "queued" if live else "offline",
        "epoch": live.epoch if live else 0,
        "published_at": None if call.secret_payload is None else now,
        "deadline_at": now + DEADLINE,
        "finished_at": None if live else now,
        "note": None if live else "The charge point is not connected.",
        "transaction_id": call.transaction_id,
        "created_at": now,
    }


async def _keep(
    connection: AsyncConnection, beginning: Beginning, command_id: UUID, credit: CreditTerms, now: datetime
) -> None:
    assert beginning.price is not None  # noqa: S101 - for the type checker
    assert beginning.driver_id is not None  # noqa: S101 - for the type checker
    tariff = beginning.price.tariff
    await keep_for_start(await raw(connection), tariff, beginning.driver_id, command_id, terms=credit, now=now)


async def find_transaction(connection: AsyncConnection, charge_point_id: UUID, payload: dict[str, Any]) -> int | None:
    """The transaction that a RemoteStopTransaction means, where we know it."""
    query = select(transactions.c.id).where(
        transactions.c.charge_point_id == charge_point_id,
        cast(transactions.c.ocpp_transaction_id, BigInteger) == payload.get("transactionId"),
    )
    return (await connection.execute(query)).scalar_one_or_none()


async def mark_published(connection: AsyncConnection, command_ids: Sequence[UUID], now: datetime) -> None:
    """The commands are on their way."""
    this = (commands.c.id.in_(command_ids), commands.c.published_at.is_(None))
    await connection.execute(update(commands).where(*this).values(published_at=now))


async def end_as_offline(connection: AsyncConnection, command_ids: Sequence[UUID], note: str, now: datetime) -> None:
    """Nobody received the commands, so the charge points cannot have: they end as offline."""
    await mark_offline(await raw(connection), command_ids, note, now)


_COLUMNS = (
    *(column for column in commands.c if column.name != "transaction_id"),
    transactions.c.public_id.label("transaction_id"),
)


def select_commands() -> Select[Any]:
    """Commands as they are shown."""
    joined = commands.outerjoin(transactions, transactions.c.id == commands.c.transaction_id)
    return select(*_COLUMNS).select_from(joined)


async def read(connection: AsyncConnection, command_id: UUID) -> Row[Any]:
    """A command that exists."""
    row: Row[Any] = (await connection.execute(select_commands().where(commands.c.id == command_id))).one()
    return row


async def read_many(connection: AsyncConnection, command_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Commands that exist, in no order."""
    return (await connection.execute(select(commands).where(commands.c.id.in_(command_ids)))).all()


async def find(connection: AsyncConnection, caller: Caller, command_id: UUID) -> Row[Any]:
    """A command of the caller, or one to a charge point that they own.

    Raises:
        NotFound: the caller does not see it.
    """
    query = select_commands().where(commands.c.id == command_id, _is_visible(caller))
    return await find_one(connection, query)


def _is_visible(caller: Caller) -> ColumnElement[bool]:
    if caller.is_operator:
        return true()
    owned = select(charge_points.c.id).where(charge_points.c.owner_id == caller.user_id)
    return or_(commands.c.user_id == caller.user_id, commands.c.charge_point_id.in_(owned))


async def list_sent(
    connection: AsyncConnection, charge_point_id: UUID, paging: PageRequest
) -> tuple[Sequence[Row[Any]], str | None]:
    """The commands to a charge point, newest first."""
    query = select_commands().where(commands.c.charge_point_id == charge_point_id)
    return await read_page(connection, query, [commands.c.created_at, commands.c.id], paging)
