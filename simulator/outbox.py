"""The queue of transaction messages and its delivery, in order, one at a time (OCPP 1.6 3.7 and 3.7.1).

A lost connection never costs a message or an attempt; a CALLERROR costs an attempt, and after
TransactionMessageAttempts the message is thrown away.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from ocpp.v16 import call

from simulator.behaviour import Behaviour
from simulator.configuration import Configuration
from simulator.link import Answer, CallFailedError, NoAnswerError, OfflineError
from simulator.state import QueuedMessage, State, Transaction

Send = Callable[[object], Awaitable[Answer]]
Report = Callable[..., None]
NO_TRANSACTION_ID = -1
"""What StopTransaction says where StartTransaction was never answered (errata 3.18)."""


class Outbox:
    """Delivers `state.queue` while the charge point is accepted."""

    def __init__(
        self,
        state: State,
        behaviour: Behaviour,
        configuration: Configuration,
        *,
        accepted: asyncio.Event,
        send: Send,
        report: Report,
        chance: random.Random,
    ) -> None:
        self._state = state
        self._behaviour = behaviour
        self._configuration = configuration
        self._accepted = accepted
        self._send = send
        self._report = report
        self._chance = chance
        self._filled = asyncio.Event()
        self.idle = asyncio.Event()
        """Nothing is queued, and every transaction is stopped and answered."""
        self._mark()

    def put(self, action: str, transaction: Transaction, payload: dict[str, Any]) -> None:
        """Appends a message; `payload` is without the transactionId, which may not be known yet."""
        self._state.queue.append(QueuedMessage(action, transaction.number, payload))
        self._state.save()
        self._mark()

    async def deliver(self) -> None:
        """Sends what is in the queue, for ever."""
        while True:
            await self._filled.wait()
            await self._accepted.wait()
            message = self._state.queue[0]
            try:
                await self._send_one(message)
            except OfflineError:
                self._report("kept", action=message.action)
            except NoAnswerError:
                self._report("unanswered", action=message.action)
                await asyncio.sleep(self._configuration.number("TransactionMessageRetryInterval"))
            except CallFailedError as error:
                await self._count_attempt(message, error)

    async def _send_one(self, message: QueuedMessage) -> None:
        answer = await self._send(self._build(message))
        if self._chance.random() < self._behaviour.lose_answers:
            self._report("answer_lost", action=message.action)
            return
        self._settle(message, answer)
        if message.action == "StartTransaction" and self._behaviour.duplicate_starts:
            self._report("duplicate", action=message.action)
            self._settle(message, await self._send(self._build(message)))
        self._drop_head()
        if message.action == "StopTransaction":
            self._finish(message)

    def _build(self, message: QueuedMessage) -> object:
        payload = dict(message.payload)
        transaction_id = self._state.transactions[message.number].transaction_id
        if message.action == "MeterValues" and transaction_id is not None:
            payload["transaction_id"] = transaction_id
        if message.action == "StopTransaction":
            payload["transaction_id"] = NO_TRANSACTION_ID if transaction_id is None else transaction_id
        return getattr(call, message.action)(**payload)

    def _settle(self, message: QueuedMessage, answer: Answer) -> None:
        """Notes the transactionId; a replay that is answered with another one is worth an event."""
        if message.action != "StartTransaction":
            return
        transaction = self._state.transactions[message.number]
        if transaction.transaction_id not in {None, answer.transaction_id}:
            self._report("replay_differs", expected=transaction.transaction_id, got=answer.transaction_id)
        transaction.transaction_id = answer.transaction_id
        status = (answer.id_tag_info or {}).get("status", "Accepted")
        self._report(
            "started",
            number=transaction.number,
            connector=transaction.connector_id,
            transaction=answer.transaction_id,
            id_tag=transaction.id_tag,
            id_tag_status=status,
        )

    async def _count_attempt(self, message: QueuedMessage, error: CallFailedError) -> None:
        message.attempts += 1
        given_up = message.attempts >= self._configuration.number("TransactionMessageAttempts")
        self._report("call_error", action=message.action, error=str(error), attempt=message.attempts, given_up=given_up)
        if given_up:
            self._drop_head()
            if message.action == "StopTransaction":
                self._forget(message.number)
            return
        self._state.save()
        await asyncio.sleep(self._configuration.number("TransactionMessageRetryInterval") * message.attempts)

    def _drop_head(self) -> None:
        del self._state.queue[0]
        self._state.save()
        self._mark()

    def _finish(self, message: QueuedMessage) -> None:
        transaction = self._forget(message.number)
        self._report(
            "stopped",
            number=transaction.number,
            connector=transaction.connector_id,
            transaction=transaction.transaction_id,
            energy_wh=message.payload["meter_stop"] - transaction.meter_start_wh,
            reason=message.payload.get("reason", "Local"),
        )

    def _forget(self, number: int) -> Transaction:
        transaction = self._state.transactions.pop(number)
        self._state.save()
        self._mark()
        return transaction

    def _mark(self) -> None:
        idle = not self._state.queue and not self._state.transactions
        for event, holds in ((self._filled, bool(self._state.queue)), (self.idle, idle)):
            if holds:
                event.set()
            else:
                event.clear()
