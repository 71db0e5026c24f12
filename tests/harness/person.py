"""A person at the REST API, as an app would be: logged in, speaking only HTTP."""

import uuid
from dataclasses import dataclass
from typing import Any, Self

import httpx

PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    """Someone who registered and logged in."""

    http: httpx.AsyncClient
    email: str

    @classmethod
    async def register(cls, api_port: int, name: str = "owner") -> Self:
        """A new account, logged in."""
        email = f"{name}-{uuid.uuid4().hex[:8]}@example.org"
        http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{api_port}/api/v1", timeout=70)
        person = cls(http, email)
        await person.post("/auth/register", {"email": email, "password": PASSWORD, "display_name": name})
        await person.log_in()
        return person

    async def log_in(self) -> None:
        """Takes a new access token."""
        answer = await self.http.post("/auth/token", data={"username": self.email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    async def get(self, path: str, **parameters: Any) -> Any:
        """The body of a GET that must succeed."""
        answer = await self.http.get(path, params=parameters)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The body of a POST that must succeed."""
        answer = await self.http.post(path, json=body)
        assert answer.status_code in {200, 201}, f"POST {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def wallbox(self, **fields: Any) -> dict[str, Any]:
        """A new charge point of this person's, with its one-time key."""
        body = {"name": "Garage", "price_per_kwh": "5.50", "currency": "CZK", "rated_power_w": 22000, **fields}
        created: dict[str, Any] = await self.post("/charge-points", body)
        return created

    async def card(self, **fields: Any) -> str:
        """A new id tag of this person's."""
        created = await self.post("/id-tags", {"label": "card", "kind": "card", **fields})
        return str(created["tag"])

    async def close(self) -> None:
        """Closes the HTTP connections."""
        await self.http.aclose()
