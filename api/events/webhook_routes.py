"""HTTP of webhooks: where a user's events are posted, what was delivered, and trying it."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from api.errors import BadRequest, Conflict, InProgress, Invalid, KeyReused, NotFound
from api.events import webhooks
from api.events.catalogue import PING, TYPES, UPDATED
from api.identity.caller import CurrentCaller
from api.identity.once import Once
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, CurrentSettings, Flag, Now, Transaction

router = APIRouter(prefix="/api/v1/webhooks", tags=["events"])

WEBHOOK_EXAMPLE: dict[str, Any] = {
    "id": "5d3f4c1e-0c6a-4f0e-8e59-b0b0a7a2d9c4",
    "url": "https://home.example.org/voltuj",
    "types": ["transaction.started", "transaction.stopped"],
    "charge_point_ids": [],
    "disabled_at": None,
    "disabled_reason": None,
    "created_at": "2026-05-04T08:30:00Z",
}
DELIVERY_EXAMPLE: dict[str, Any] = {
    "id": "a0b1c2d3-1f2e-4d3c-8b4a-5a6978877665",
    "webhook_id": "5d3f4c1e-0c6a-4f0e-8e59-b0b0a7a2d9c4",
    "event_id": "0d3c8f0e-5b0e-4d0e-9a37-0d2f6c1b7a55",
    "type": "transaction.stopped",
    "status": "pending",
    "attempts": 2,
    "next_at": "2026-05-04T09:00:20Z",
    "attempted_at": "2026-05-04T09:00:10Z",
    "response_status": 503,
    "error": "answered 503",
    "created_at": "2026-05-04T09:00:00Z",
}
SECRET_EXAMPLE = "q3q9wXq1a8cB8mJr0J2m0O1b7mYtq6j3k5l7n9p1r3s"  # noqa: S105 - an example
DELIVERABLE = frozenset(TYPES) - {PING, UPDATED}

Types = Annotated[list[str], Field(max_length=50, description="types of events; empty: all that are durable")]
ChargePointIds = Annotated[list[UUID], Field(max_length=200, description="only these charge points; empty: all")]


class NewWebhook(Body):
    """Where to post, and what."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"url": WEBHOOK_EXAMPLE["url"], "types": WEBHOOK_EXAMPLE["types"]}}
    )

    url: str = Field(max_length=2000, description="https, port 443 or 8443, on a public address")
    types: Types = Field(default_factory=list)
    charge_point_ids: ChargePointIds = Field(default_factory=list)


class WebhookChange(Body):
    """What of the webhook is to change; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"enabled": True}})

    types: Types = Field(default_factory=list)
    charge_point_ids: ChargePointIds = Field(default_factory=list)
    enabled: Flag = Field(default=True, description="false: nothing is posted, and what waits is given up")


class Webhook(BaseModel):
    """Where the caller's events are posted."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": WEBHOOK_EXAMPLE})

    id: UUID
    url: str
    types: list[str]
    charge_point_ids: list[UUID]
    disabled_at: datetime | None = Field(description="nothing is posted since; null: it is enabled")
    disabled_reason: str | None
    created_at: datetime


class CreatedWebhook(Webhook):
    """A new webhook with what its deliveries are signed with."""

    model_config = ConfigDict(json_schema_extra={"example": WEBHOOK_EXAMPLE | {"secret": SECRET_EXAMPLE}})

    secret: str | None = Field(description="shown once; null where the request was sent again")


class WebhookPage(Page[Webhook]):
    """Webhooks, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [WEBHOOK_EXAMPLE], "next_cursor": None}})


class Delivery(BaseModel):
    """One event on its way to a webhook."""

    model_config = ConfigDict(json_schema_extra={"example": DELIVERY_EXAMPLE})

    id: UUID
    webhook_id: UUID
    event_id: UUID = Field(description="`id` of the event: the same in every attempt")
    type: str
    status: str = Field(
        description="`pending`, `delivered`, `failed`, or `withdrawn`: no longer to be seen by its owner"
    )
    attempts: int
    next_at: datetime = Field(description="of a pending one: not tried before")
    attempted_at: datetime | None
    response_status: int | None = Field(description="HTTP status of the last answer; null where none came")
    error: str | None
    created_at: datetime


class DeliveryPage(Page[Delivery]):
    """Deliveries, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [DELIVERY_EXAMPLE], "next_cursor": None}})


@router.get("", summary="List the own webhooks", responses=problem_docs())
async def list_webhooks(caller: CurrentCaller, transaction: Transaction, paging: Paging) -> WebhookPage:
    """Where the caller's events are posted, newest first."""
    rows, cursor = await webhooks.list_own(transaction, caller.user_id, paging)
    return WebhookPage(items=[Webhook.model_validate(row) for row in rows], next_cursor=cursor)


@router.post(
    "",
    status_code=201,
    summary="Register a webhook",
    responses=problem_docs(BadRequest, Conflict, InProgress, KeyReused),
)
async def create_webhook(
    *,
    body: NewWebhook,
    caller: CurrentCaller,
    transaction: Transaction,
    settings: CurrentSettings,
    once: Once,
    now: Now,
) -> CreatedWebhook:
    """From now on events that the caller may see are posted there. The secret is shown once: keep it."""
    if (earlier := await once.earlier(CreatedWebhook)) is not None:
        return earlier
    row = await webhooks.create(
        transaction,
        caller.user_id,
        url=body.url,
        types=_deliverable(body.types),
        charge_point_ids=body.charge_point_ids,
        loopback=settings.webhook_loopback,
        now=now,
    )
    created = CreatedWebhook.model_validate(row)
    return await once.remember(created, kept=created.model_copy(update={"secret": None}))


@router.get("/{webhook_id}", summary="Read a webhook", responses=problem_docs(NotFound))
async def read_webhook(webhook_id: UUID, caller: CurrentCaller, transaction: Transaction) -> Webhook:
    """One of the caller's webhooks; why it is disabled, where it is."""
    return Webhook.model_validate(await webhooks.find_own(transaction, caller.user_id, webhook_id))


@router.patch("/{webhook_id}", summary="Edit a webhook", responses=problem_docs(BadRequest, NotFound))
async def edit_webhook(
    *, webhook_id: UUID, body: WebhookChange, caller: CurrentCaller, transaction: Transaction, now: Now
) -> Webhook:
    """Changes what is posted, or enables a webhook again after its receiver was mended."""
    row = await webhooks.find_own(transaction, caller.user_id, webhook_id)
    changes = body.model_dump(exclude_unset=True)
    enabled = changes.pop("enabled", None)
    _deliverable(body.types)
    return Webhook.model_validate(await webhooks.edit(transaction, row, changes, enabled=enabled, now=now))


@router.delete("/{webhook_id}", status_code=204, summary="Remove a webhook", responses=problem_docs(NotFound))
async def delete_webhook(webhook_id: UUID, caller: CurrentCaller, transaction: Transaction) -> None:
    """Nothing more is posted there; its deliveries are forgotten."""
    await webhooks.remove(transaction, caller.user_id, webhook_id)


@router.post(
    "/{webhook_id}/ping",
    status_code=201,
    summary="Try a webhook",
    responses=problem_docs(NotFound, Conflict, InProgress, KeyReused),
)
async def ping_webhook(
    *, webhook_id: UUID, caller: CurrentCaller, transaction: Transaction, once: Once, now: Now
) -> Delivery:
    """Posts an event of type `webhook.ping`. How it went is in the list of deliveries."""
    row = await webhooks.find_own(transaction, caller.user_id, webhook_id)
    if (earlier := await once.earlier(Delivery)) is not None:
        return earlier
    return await once.remember(_delivery(await webhooks.ping(transaction, row, now)))


@router.get("/{webhook_id}/deliveries", summary="List deliveries", responses=problem_docs(NotFound))
async def list_deliveries(
    *, webhook_id: UUID, caller: CurrentCaller, transaction: Transaction, paging: Paging
) -> DeliveryPage:
    """What was posted to a webhook or waits to be, newest first; kept for a week."""
    row = await webhooks.find_own(transaction, caller.user_id, webhook_id)
    rows, cursor = await webhooks.list_deliveries(transaction, row.id, paging)
    return DeliveryPage(items=[_delivery(each) for each in rows], next_cursor=cursor)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=201,
    summary="Deliver once more",
    responses=problem_docs(NotFound, Conflict, InProgress, KeyReused),
)
async def redeliver(
    *,
    webhook_id: UUID,
    delivery_id: UUID,
    caller: CurrentCaller,
    transaction: Transaction,
    once: Once,
    now: Now,
) -> Delivery:
    """Posts the same event again, whether it was accepted or given up."""
    row = await webhooks.find_own(transaction, caller.user_id, webhook_id)
    if (earlier := await once.earlier(Delivery)) is not None:
        return earlier
    return await once.remember(_delivery(await webhooks.redeliver(transaction, row, delivery_id, now)))


def _delivery(row: Row[Any]) -> Delivery:
    fields = {name: row._mapping[name] for name in Delivery.model_fields if name in row._mapping}
    return Delivery(**{**fields, "event_id": row.public_event_id})


def _deliverable(types: list[str]) -> list[str]:
    for each in types:
        if each not in DELIVERABLE:
            raise Invalid.field("body.types", f"{each[:100]!r} is not a type of event that is posted")
    return types
