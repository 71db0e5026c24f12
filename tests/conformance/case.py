"""What a case has at hand: its charge point, and the people who use the REST API. No rule of OCPP lives here."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.conformance.charge_point import CallErrorAnswer, ChargePoint
from tests.harness.person import Person
from tests.harness.stack import eventually

RATED_POWER_W = 22_000


@dataclass
class Central:
    """The running stack of one worker, and how to log in to it."""

    url: str
    api_port: int
    owner: dict[str, str]
    operator: dict[str, str]
    """Headers with which these two are logged in."""

    def person(self, headers: dict[str, str]) -> Person:
        """Somebody at the API with HTTP connections of their own."""
        base = f"http://127.0.0.1:{self.api_port}/api/v1"
        return Person(httpx.AsyncClient(base_url=base, timeout=70, headers=headers), "")


@dataclass
class Case:
    """One charge point at the stack, new for each case."""

    central: Central
    owner: Person
    operator: Person
    id: str
    cp: ChargePoint

    @property
    def path(self) -> str:
        """Of the charge point in the API."""
        return f"/charge-points/{self.id}"

    async def send(
        self,
        action: str,
        payload: dict[str, Any],
        answer: dict[str, Any] | CallErrorAnswer,
        *,
        status: str = "accepted",
        by: Person | None = None,
    ) -> dict[str, Any]:
        """Sends a command by the API, sees it arrive unchanged, and the answer and `status` in the command's row."""
        person = by or self.owner
        self.cp.will_answer(action, answer)
        made = await person.post(f"{self.path}/commands", {"action": action, "payload": payload, "wait_s": 20})
        assert await self.cp.received(action) == payload
        row: dict[str, Any] = await person.get(f"/commands/{made['id']}")
        assert (row["action"], row["payload"], row["status"]) == (action, payload, status)
        if not isinstance(answer, CallErrorAnswer):
            assert row["response"] == answer
        return row

    async def ask(self, route: str, body: dict[str, Any], action: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Posts to a route that makes the CALL itself; gives the payload that arrived."""
        self.cp.will_answer(action, answer)
        made = await self.owner.post(f"{self.path}/{route}", {**body, "wait_s": 20})
        payload = await self.cp.received(action)
        assert (made["action"], made["payload"], made["status"]) == (action, payload, "accepted")
        return payload

    async def connector(self, connector_id: int = 1) -> dict[str, Any]:
        """A connector as the API shows it."""
        items = (await self.owner.get(f"{self.path}/connectors"))["items"]
        [found] = [item for item in items if item["connector_id"] == connector_id]
        return dict(found)

    async def connector_is(self, status: str, connector_id: int = 1) -> None:
        """Whether the API shows this status."""
        assert (await self.connector(connector_id))["status"] == status

    async def transactions(self) -> list[dict[str, Any]]:
        """Those of this charge point, newest first."""
        page = await self.owner.get("/transactions", charge_point_id=self.id)
        return list(page["items"])

    async def transaction(self, ocpp_id: int | None = None) -> dict[str, Any]:
        """The only transaction of this charge point, in full."""
        [found] = await self.transactions()
        if ocpp_id is not None:
            assert found["ocpp_transaction_id"] == ocpp_id
        row: dict[str, Any] = await self.owner.get(f"/transactions/{found['id']}")
        return row

    async def is_online(self, wanted: bool) -> None:
        """Waits until the API shows the charge point as connected, or as not."""

        async def shown() -> bool:
            return (await self.owner.get(self.path))["online"] is wanted

        await eventually(shown, f"the charge point to be shown as {'online' if wanted else 'offline'}")
