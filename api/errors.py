"""What can go wrong in a request, as exceptions that carry their HTTP status; `api.problems` writes them out.

ApiError
+-- BadRequest             400  the request cannot be read
+-- Unauthenticated        401  no access token, or one that no longer counts
|   +-- WrongCredentials        e-mail or password, never which
+-- CreditTooLow           402  the driver's money does not cover it; `missing_minor` says by how much
+-- NotAllowed             403  the caller sees the resource but may not do this
|   +-- ChargingRefused         who may charge said no; `detail` says why
|   +-- WrongPassword           the password that was asked for once more
+-- NotFound               404  it does not exist, or the caller may not see it
+-- MethodNotAllowed       405  the path exists, the method does not
+-- Conflict               409  the state of the resource forbids it
|   +-- ConnectorReserved       somebody has reserved the connector for a part of that time
|   +-- ErasureRefused          something has to be settled first; `reasons` says what
|   +-- InProgress              the same Idempotency-Key is being worked on
|   +-- PriceChanged            the price that was shown holds no more; `price` is the new one
+-- TooLarge               413  the body is above its limit
+-- Invalid                422  a field has a wrong value
|   +-- KeyReused               the Idempotency-Key belongs to another request
+-- LinkExpired            410  the secret of a mail is unknown, used or expired
+-- TooManyRequests        429  asked too often; Retry-After says when to ask again
|   +-- TooManyStreams          the caller has as many event streams open as one may have
+-- InternalError          500  our fault; the log has the request id
+-- Unavailable            503  something that we need is down; Retry-After says when to ask again
    +-- DatabaseAway
    +-- RedisAway
"""

from typing import ClassVar


class ApiError(Exception):
    """The root: `detail` is a sentence for people, `members` are further members of the problem document."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"
    example: ClassVar[str] = "Something went wrong on our side. The log has the request id."
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str = "", **members: object) -> None:
        super().__init__(detail or self.example)
        self.detail = detail or self.example
        self.members = members
        self.more_headers: dict[str, str] = {}


class BadRequest(ApiError):
    """The request cannot be read."""

    status = 400
    slug = "bad-request"
    title = "Bad request"
    example = "The body could not be read."


class Unauthenticated(ApiError):
    """No access token, or one that no longer counts."""

    status = 401
    slug = "unauthenticated"
    title = "Log in first"
    example = "The access token is missing, wrong, expired or revoked."
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class WrongCredentials(Unauthenticated):
    """E-mail or password is wrong; the answer never says which."""

    slug = "wrong-credentials"
    title = "Wrong e-mail or password"
    example = "No account has this e-mail and password."


class CreditTooLow(ApiError):
    """The driver's money does not cover it."""

    status = 402
    slug = "credit-too-low"
    title = "Credit too low"
    example = "Charging here needs 500.00 CZK; 120.00 CZK are available, 380.00 CZK are missing."


class NotAllowed(ApiError):
    """The caller sees the resource but may not do this with it."""

    status = 403
    slug = "not-allowed"
    title = "Not allowed"
    example = "Only the owner of this charge point may do this."


class ChargingRefused(NotAllowed):
    """Who may charge said no."""

    slug = "charging-refused"
    title = "Charging refused"
    example = "The owner of this charge point has not shared it with the holder of this id tag."


class WrongPassword(NotAllowed):
    """The password that was asked for once more is not the caller's."""

    slug = "wrong-password"
    title = "Wrong password"
    example = "This is not the password of your account."


class NotFound(ApiError):
    """It does not exist, or the caller may not see it: the answer is the same."""

    status = 404
    slug = "not-found"
    title = "Not found"
    example = "There is no such resource, or you may not see it."


class MethodNotAllowed(ApiError):
    """The path exists, the method does not."""

    status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"
    example = "This path has no such method."


class Conflict(ApiError):
    """The state of the resource forbids it."""

    status = 409
    slug = "conflict"
    title = "Conflict"
    example = "The resource is in a state that does not allow this."


class ConnectorReserved(Conflict):
    """Of a connector's bookings no two overlap."""

    slug = "connector-reserved"
    title = "Reserved already"
    example = "This connector is reserved for a part of that time."


class ErasureRefused(Conflict):
    """An account cannot be erased yet; `reasons` says why."""

    slug = "erasure-refused"
    title = "Not yet"
    example = "Delete your charge points, or hand them over; A balance is not zero"


class InProgress(Conflict):
    """The same Idempotency-Key is being worked on."""

    slug = "in-progress"
    title = "Request in progress"
    example = "A request with this Idempotency-Key is still being worked on. Try again in a moment."
    headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}


class PriceChanged(Conflict):
    """The price that was shown to the caller holds no more."""

    slug = "price-changed"
    title = "Price changed"
    example = "The price has changed since it was shown. Look at the new one and start again."


class TooLarge(ApiError):
    """The body is above its limit."""

    status = 413
    slug = "too-large"
    title = "Body too large"
    example = "The body is larger than 1 MiB."


class Invalid(ApiError):
    """A field has a wrong value; `errors` lists them."""

    status = 422
    slug = "invalid"
    title = "Invalid request"
    example = "One field is wrong: body.name."

    @classmethod
    def field(cls, name: str, message: str) -> "Invalid":
        """One field, named as in the list of a validation error, for example `body.identity`."""
        return cls(f"One field is wrong: {name}.", errors=[{"field": name, "message": message, "code": "value"}])


class KeyReused(Invalid):
    """The Idempotency-Key belongs to another request."""

    slug = "idempotency-key-reused"
    title = "Idempotency-Key used before"
    example = "This Idempotency-Key was used for a different request. Take a new one for each request."


class LinkExpired(ApiError):
    """The secret that a mail brought does not count; it never says why."""

    status = 410
    slug = "link-expired"
    title = "Link expired"
    example = "This link or code is unknown, used or expired. Ask for a new one."


class TooManyRequests(ApiError):
    """Asked too often."""

    status = 429
    slug = "too-many-requests"
    title = "Too many requests"
    example = "Too many requests. Try again in 17 seconds."

    @classmethod
    def retry_after(cls, seconds: int) -> "TooManyRequests":
        """With the header that says how long to wait."""
        error = cls(f"Too many requests. Try again in {seconds} seconds.")
        error.more_headers["Retry-After"] = str(seconds)
        return error


class TooManyStreams(TooManyRequests):
    """The caller, or this process, has as many event streams open as there may be."""

    slug = "too-many-streams"
    title = "Too many event streams"
    example = "Too many event streams are open. Close one, or try again in a few seconds."
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class InternalError(ApiError):
    """Our fault. Nothing about it leaves the process but the request id."""


class Unavailable(ApiError):
    """Something that we need is down."""

    status = 503
    slug = "unavailable"
    title = "Unavailable"
    example = "The service is busy. Try again in a few seconds."
    headers: ClassVar[dict[str, str]] = {"Retry-After": "5"}


class DatabaseAway(Unavailable):
    """PostgreSQL does not answer."""

    slug = "database-away"
    title = "Database unavailable"
    example = "The database does not answer. Try again in a few seconds."


class RedisAway(Unavailable):
    """Redis does not answer."""

    slug = "redis-away"
    title = "Redis unavailable"
    example = "The way to the charge points is down. Try again in a few seconds."
