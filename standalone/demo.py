"""The demo: an owner, a guest, a priced wallbox, a card for each. Everything is made through the REST API, as any
client would, and kept in a file, so that the next start finds it again.
"""

import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from standalone.folder import read_private, write_private
from standalone.problems import Problem

TIMEOUT_S = 10.0
PRICE_PER_KWH = "5.50"
CURRENCY = "CZK"
RATED_POWER_W = 22_000
MINOR_UNITS = 100
"""Of the demo's currency (ISO 4217: two decimals)."""


@dataclass
class Person:
    """A log-in of the demo; `tag` is the person's card."""

    email: str
    password: str
    tag: str = ""


@dataclass
class Demo:
    """What was made; empty strings are steps that are still to do."""

    owner: Person = field(default_factory=lambda: _new_person("owner"))
    guest: Person = field(default_factory=lambda: _new_person("guest"))
    charge_point_id: str = ""
    identity: str = ""
    key: str = ""
    granted: bool = False


@dataclass(frozen=True)
class Status:
    """What the demo's owner sees over REST now."""

    online: int
    charge_points: int
    transactions: int
    last: str


def load_demo(path: Path) -> Demo:
    """The demo of this installation, or a new one with new passwords.

    Raises:
        Problem: the file cannot be read, or holds something else.
    """
    kept = read_private(path)
    if kept is None:
        return Demo()
    try:
        return Demo(**{**kept, "owner": Person(**kept["owner"]), "guest": Person(**kept["guest"])})
    except (TypeError, KeyError) as error:
        raise Problem(f"{path} is broken: move it away to make a new demo.") from error


class DemoClient:
    """The demo's owner as a client of the REST API."""

    def __init__(self, api_url: str, path: Path) -> None:
        self._path = path
        self._http = httpx.Client(base_url=f"{api_url}/api/v1", timeout=TIMEOUT_S, trust_env=False)
        self._tokens: dict[str, str] = {}
        self._seen: set[str] = set()
        self._last = ""
        self.demo = load_demo(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def set_up(self) -> Demo:
        """Makes what is missing, step by step, each kept as soon as it is done.

        Raises:
            Problem: the api refuses something, or does not answer.
        """
        demo = self.demo
        self._register(demo.owner, "Demo owner")
        self._register(demo.guest, "Demo guest")
        if not self._has_charge_point():
            self._make_charge_point()
        for person, label in ((demo.owner, "Owner's card"), (demo.guest, "Guest's card")):
            if not person.tag:
                person.tag = self._post(person, "/id-tags", {"label": label, "kind": "card"})["tag"]
                self._keep()
        if not demo.granted:
            grants = f"/charge-points/{demo.charge_point_id}/grants"
            self._post(demo.owner, grants, {"email": demo.guest.email}, also_fine=httpx.codes.CONFLICT)
            demo.granted = True
            self._keep()
        return demo

    def status(self) -> Status:
        """How things are now.

        Raises:
            Problem: the api refuses, or does not answer.
        """
        boxes = self._get("/charge-points")["items"]
        self._read_transactions()
        online = sum(1 for box in boxes if box["online"])
        return Status(online, len(boxes), len(self._seen), self._last)

    def _read_transactions(self) -> None:
        """Counts finished transactions, newest first, back to one that is counted already."""
        cursor, newest = None, True
        while True:
            page = self._get("/transactions", {"limit": 100} | ({"cursor": cursor} if cursor else {}))
            finished = [one for one in page["items"] if one["status"] == "stopped"]
            if finished and newest:
                self._last, newest = describe(finished[0]), False
            known = any(one["id"] in self._seen for one in finished)
            self._seen.update(one["id"] for one in finished)
            cursor = page["next_cursor"]
            if known or cursor is None:
                return

    def _register(self, person: Person, name: str) -> None:
        """Logs in; where there is no such person yet (or a person with another password), registers."""
        self._keep()
        if self._log_in(person):
            return
        fields = {"email": person.email, "password": person.password, "display_name": name}
        answer = self._send("POST", "/auth/register", json=fields)
        if answer.status_code == httpx.codes.CONFLICT:
            person.email = f"{person.email.partition('@')[0]}-{secrets.token_hex(3)}@voltuj.example"
            self._keep()
            answer = self._send("POST", "/auth/register", json={**fields, "email": person.email})
        _checked(answer)
        if not self._log_in(person):
            raise Problem(f"The demo cannot log in as {person.email}, whom it has just registered.")

    def _log_in(self, person: Person) -> bool:
        form = {"username": person.email, "password": person.password}
        answer = self._send("POST", "/auth/token", data=form)
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.BAD_REQUEST}:
            return False
        self._tokens[person.email] = _checked(answer)["access_token"]
        return True

    def _has_charge_point(self) -> bool:
        if not self.demo.charge_point_id:
            return False
        path = f"/charge-points/{self.demo.charge_point_id}"
        return self._as(self.demo.owner, "GET", path).status_code == httpx.codes.OK

    def _make_charge_point(self) -> None:
        demo = self.demo
        made = self._post(
            demo.owner,
            "/charge-points",
            {
                "name": "Demo wallbox",
                "identity": f"DEMO-{secrets.token_hex(3).upper()}",
                "time_zone": "Europe/Prague",
                "rated_power_w": RATED_POWER_W,
                "price_per_kwh": PRICE_PER_KWH,
                "currency": CURRENCY,
            },
        )
        demo.charge_point_id, demo.identity, demo.key = made["id"], made["identity"], made["key"]
        demo.granted = False
        self._keep()

    def _keep(self) -> None:
        write_private(self._path, asdict(self.demo))

    def _get(self, path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        return _checked(self._as(self.demo.owner, "GET", path, params=query))

    def _post(self, person: Person, path: str, body: dict[str, Any], *, also_fine: int = 0) -> dict[str, Any]:
        answer = self._as(person, "POST", path, json=body)
        return {} if answer.status_code == also_fine else _checked(answer)

    def _as(self, person: Person, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        """A request in a person's name; an access token that has run out is renewed once."""
        for _ in range(2):
            headers = {"Authorization": f"Bearer {self._tokens.get(person.email, '')}"}
            answer = self._send(method, path, headers=headers, **request)
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                break
            self._log_in(person)
        return answer

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            return self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise Problem(f"The api does not answer {method} {path}: {error or type(error).__name__}.") from error


def describe(transaction: dict[str, Any]) -> str:
    """Energy and price of a finished transaction, exactly as the api has them."""
    energy_wh, minor = transaction["energy_wh"], transaction["total_minor"]
    energy = "energy unknown" if energy_wh is None else f"{energy_wh // 1000}.{energy_wh % 1000:03d} kWh"
    if minor is None:
        return f"{energy}, no price"
    return f"{energy}, {minor // MINOR_UNITS}.{minor % MINOR_UNITS:02d} {transaction['currency']}"


def _new_person(name: str) -> Person:
    return Person(f"{name}@voltuj.example", secrets.token_urlsafe(12))


def _checked(answer: httpx.Response) -> dict[str, Any]:
    """The body of a good answer.

    Raises:
        Problem: the answer is an error; says which.
    """
    request = f"{answer.request.method} {answer.request.url.path}"
    if not answer.is_success:
        raise Problem(f"The api answers {request} with {answer.status_code}: {' '.join(answer.text.split())[:300]}")
    try:
        content: dict[str, Any] = answer.json()
    except ValueError as error:
        raise Problem(f"The api answers {request} with something that is no JSON.") from error
    return content
