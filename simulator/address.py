"""Where a charge point connects and with which key, and what a refusal means in one sentence. No I/O."""

import base64
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from websockets.exceptions import InvalidHandshake, InvalidStatus, NegotiationError

SUBPROTOCOL = "ocpp1.6"


class RefusalError(Exception):
    """No connection came about; the message is one sentence that says what to check."""

    def __init__(self, sentence: str, retry_after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Address:
    """The central system's URL with the identity in it, and the key of Basic authentication."""

    url: str
    identity: str
    key: bytes | None

    @property
    def headers(self) -> dict[str, str]:
        """HTTP Basic authentication with the identity as user name (J 6.2)."""
        if self.key is None:
            return {}
        token = base64.b64encode(self.identity.encode() + b":" + self.key).decode()
        return {"Authorization": f"Basic {token}"}


def make_address(url: str, identity: str, key: str | None) -> Address:
    """The identity is appended percent-encoded (J 3.1.1), unless `url` ends in it already.

    Raises:
        RefusalError: not a WebSocket URL, or no identity at all.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise RefusalError(f"{url} is not a WebSocket URL: it must look like ws://host:port or wss://host:port.")
    path = parts.path.rstrip("/")
    if not identity:
        identity = unquote(path.rpartition("/")[2])
    if not identity:
        raise RefusalError("The charge point has no identity: give --identity, or a --url that ends in it.")
    if unquote(path.rpartition("/")[2]) != identity:
        path = f"{path}/{quote(identity, safe='')}"
    full = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return Address(full, identity, key.encode() if key else None)


def explain(error: Exception, address: Address) -> RefusalError:
    """Why the connection did not come about, for people."""
    place = urlsplit(address.url).netloc
    if isinstance(error, InvalidStatus):
        return _explain_status(error, address, place)
    if isinstance(error, NegotiationError):
        return RefusalError(f"{place} does not speak {SUBPROTOCOL}: it did not choose this subprotocol.")
    if isinstance(error, ConnectionRefusedError):
        return RefusalError(f"Nothing listens on {place}: is the central system running, and is the port right?")
    if isinstance(error, TimeoutError):
        return RefusalError(f"{place} did not answer in time.")
    if isinstance(error, InvalidHandshake | EOFError):
        return RefusalError(f"{place} answers, but not as an OCPP central system: {error}.")
    return RefusalError(f"{place} cannot be reached: {error}.")


def _explain_status(error: InvalidStatus, address: Address, place: str) -> RefusalError:
    status = error.response.status_code
    if status == 401:
        given = "with this key" if address.key else "without a key"
        return RefusalError(f"{place} does not let {address.identity} in {given} (401): check --key.")
    if status == 404:
        return RefusalError(
            f"{place} does not know the identity {address.identity} (404): check --identity and the path."
        )
    if status == 503:
        retry_after = error.response.headers.get("Retry-After", "")
        wait = float(retry_after) if retry_after.isdigit() else 0.0
        return RefusalError(f"{place} is not ready (503): it asks to try again later.", wait)
    return RefusalError(f"{place} refuses the connection with HTTP status {status}.")
