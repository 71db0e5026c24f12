"""What people do at the REST API meanwhile: an owner sends commands, the operator imports bank statements.

Each thing is asked for until the api says that it is done.
"""

import asyncio
import random
import uuid
from contextlib import suppress
from typing import Any, Final

import asyncpg
import httpx

from api.accounting.money import format_minor
from tests.faults.campaign.fleet import ChargePoint
from tests.faults.campaign.journal import Journal, TopUp
from tests.harness.person import Person

ASK_EVERY_S: Final = 0.5
PATIENCE_S: Final = 10.0
TRY_AGAIN: Final = frozenset({401, 409, 429, 503})
"""409: the same is being done right now, by a request whose answer was lost."""
HEAD: Final = "id,date,amount,currency,variable_symbol"
BOOKED_ON: Final = "2026-05-04"
MOST_IN_A_STATEMENT: Final = 3


async def insist(person: Person, path: str, journal: Journal, **request: Any) -> dict[str, Any] | None:
    """Posts until it is answered by 201; None after any other answer than to try again, which is a violation."""
    while True:
        with suppress(httpx.HTTPError):
            answer = await person.http.post(path, timeout=PATIENCE_S, **request)
            if answer.status_code == 201:
                return dict(answer.json())
            if answer.status_code not in TRY_AGAIN:
                journal.violate(person.email, f"POST {path} was answered {answer.status_code} {answer.text}")
                return None
            if answer.status_code == 401:
                await _log_in(person)
        await asyncio.sleep(ASK_EVERY_S)


async def _log_in(person: Person) -> None:
    """Where the api is away, the next try comes back to it."""
    with suppress(AssertionError):
        await person.log_in()


async def command(owner: Person, boxes: list[ChargePoint], journal: Journal, source: random.Random) -> None:
    """One command after another, for ever."""
    while True:
        await asyncio.sleep(ASK_EVERY_S)
        await send_command(owner, source.choice(boxes), journal)


async def send_command(owner: Person, box: ChargePoint, journal: Journal) -> None:
    """One command, asked for by the same Idempotency-Key until the api says that it has it."""
    body = {"action": "GetConfiguration", "payload": {}, "wait_s": 0}
    journal.commands_asked += 1
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = await insist(owner, f"/charge-points/{box.id}/commands", journal, json=body, headers=headers)
    if answer is not None:
        journal.commands.append(answer["id"])


class Bank:
    """The operator's bank: people pay in, and its statements overlap."""

    def __init__(self, operator: Person, symbols: dict[str, str], journal: Journal, source: random.Random) -> None:
        self.operator = operator
        self._payers = sorted(symbols.items())
        """(user id, variable symbol) of each."""
        self._journal, self._random = journal, source
        self._last: list[str] = []

    @classmethod
    async def open(cls, database: str, guests: list[Person], operator: Person, journal: Journal, seed: int) -> "Bank":
        """For guests, and an operator who is made one in the database (url `database`)."""
        connection = await asyncpg.connect(database)
        await connection.execute("update users set role = 'operator' where email = $1", operator.email)
        await connection.close()
        symbols = {(await guest.get("/me"))["id"]: (await guest.get("/top-up"))["variable_symbol"] for guest in guests}
        return cls(operator, symbols, journal, random.Random(f"{seed}-bank"))

    async def send(self) -> None:
        """One statement after another, for ever."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            await self.send_statement()

    async def send_statement(self) -> None:
        """Some new movements, and those of the statement before once more."""
        paid = [self._pay() for _ in range(self._random.randint(1, MOST_IN_A_STATEMENT))]
        lines = [
            f"{top_up.reference},{BOOKED_ON},{format_minor(top_up.amount_minor, 'CZK')},CZK,{symbol}"
            for top_up, symbol in paid
        ]
        statement = "\n".join([HEAD, *self._last, *lines]).encode()
        headers = {"Content-Type": "text/csv"}
        path = "/operator/bank-statements"
        answer = await insist(self.operator, path, self._journal, content=statement, headers=headers)
        if answer is not None:
            self._last = lines
            self._journal.credited += [top_up.reference for top_up, _ in paid]

    def _pay(self) -> tuple[TopUp, str]:
        user_id, symbol = self._random.choice(self._payers)
        top_up = TopUp(f"F{len(self._journal.paid_in)}", user_id, self._random.randint(1, 1_000_000))
        self._journal.paid_in[top_up.reference] = top_up
        return top_up, symbol
