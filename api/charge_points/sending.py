"""What a route needs to send one CALL: the caller, the way to the gateways, the key of the request. No rules."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from api.charge_points import commands
from api.charge_points.dispatch import Dispatcher
from api.credit.holds import CreditTerms
from api.idempotency import Idempotency
from api.identity.caller import CurrentCaller
from api.request import CurrentDatabase, CurrentSettings, Now, made
from api.sharing.access import find_visible


async def _dispatcher(request: Request) -> Dispatcher:
    dispatcher: Dispatcher = request.app.state.dispatcher
    return dispatcher


CurrentDispatcher = Annotated[Dispatcher, Depends(_dispatcher)]


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends CALLs in the name of the caller of this request."""

    caller: CurrentCaller
    database: CurrentDatabase
    dispatcher: CurrentDispatcher
    idempotency: Idempotency
    settings: CurrentSettings
    now: Now

    async def send(self, charge_point_id: UUID, prepare: commands.Prepare, wait_s: float) -> Row[Any]:
        """Commits the row of what `prepare` makes, sends it, and waits up to `wait_s` for its end.

        Raises:
            ApiError: `prepare` or `commands.issue` refuse it.
            redis.RedisError: Redis is down.
        """
        live = await self.dispatcher.locate(charge_point_id)
        secrets: list[dict[str, Any]] = []

        async def remember(transaction: AsyncConnection) -> commands.Call:
            call = await prepare(transaction)
            secrets.extend([call.secret_payload] if call.secret_payload is not None else [])
            return call

        async with self.database.transaction() as transaction:
            command_id = await commands.issue(
                transaction,
                self.caller,
                remember,
                live,
                idempotency=self.idempotency,
                credit=CreditTerms(self.settings.hold_minor, self.settings.credit_limit_minor),
                now=self.now,
            )
        return await self.dispatcher.deliver(command_id, live, wait_s, secrets[0] if secrets else None)

    async def send_call(self, charge_point_id: UUID, action: str, payload: dict[str, Any], wait_s: float) -> Row[Any]:
        """Checks a CALL against schema, rules and the table of who may send what, and sends it.

        Raises:
            Invalid, NotAllowed, NotFound, Conflict, ChargingRefused: it may not be sent.
            redis.RedisError: Redis is down.
        """
        commands.check_call(action, payload, self.now)

        async def prepare(transaction: AsyncConnection) -> commands.Call:
            charge_point = await find_visible(transaction, self.caller, charge_point_id, self.now)
            return await self.allowed(transaction, charge_point, action, payload)

        return await self.send(charge_point_id, prepare, wait_s)

    async def allowed(
        self, transaction: AsyncConnection, charge_point: Row[Any], action: str, payload: dict[str, Any]
    ) -> commands.Call:
        """The CALL, where the caller may send it.

        Raises:
            NotAllowed: the caller may not.
        """
        await commands.check_may_send(transaction, self.caller, charge_point, action, payload)
        known = await commands.find_transaction(transaction, charge_point.id, payload)
        return commands.Call(charge_point, action, payload, known)


CurrentSender = Annotated[Sender, Depends(made(Sender))]
