"""HTTP of id tags: the caller's cards and apps."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.errors import BadRequest, Conflict, InProgress, KeyReused, NotFound
from api.identity import id_tags
from api.identity.caller import CurrentCaller
from api.identity.once import Once
from api.paging import Page, Paging
from api.problems import problem_docs
from api.request import Body, Flag, Instant, Now, Transaction

router = APIRouter(prefix="/api/v1", tags=["id tags"])

ID_TAG_EXAMPLE: dict[str, Any] = {
    "id": "c1f7d0a2-6a0b-4a57-8a5e-0b9f2f1f8d10",
    "tag": "04A2B3C4D5E6F7",
    "label": "Key ring",
    "kind": "card",
    "parent_tag": None,
    "blocked": False,
    "concurrency_limit": 1,
    "expires_at": None,
    "created_at": "2026-05-04T08:30:00Z",
}

# OCPP 1.6 7.28 IdToken is a CiString20; visible ASCII so that every charge point spells it alike
TagText = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,20}$")]
ConcurrencyLimit = Annotated[int, Field(ge=1, le=100)]
Label = Annotated[str, StringConstraints(max_length=100)]


class NewIdTag(Body):
    """An id tag to register."""

    model_config = ConfigDict(json_schema_extra={"example": {"tag": "04a2b3c4d5e6f7", "label": "Key ring"}})

    tag: TagText | None = Field(
        default=None, description="what the card reader sends; stored in upper case; generated where it is left out"
    )
    label: Label = Field(default="", description="a name for people")
    kind: Literal["card", "app"] = "card"
    parent_tag: TagText | None = Field(
        default=None, description="tags with the same parent are a group: each may stop the others' sessions"
    )
    concurrency_limit: ConcurrencyLimit = Field(default=1, description="how many sessions it may run at a time")
    expires_at: Instant | None = Field(default=None, description="from then on it starts nothing")


class IdTagChange(Body):
    """What of the id tag is to change; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"blocked": True}})

    label: Label = Field(default_factory=str, description="a name for people")
    blocked: Flag = Field(default_factory=bool, description="a blocked tag starts nothing")
    concurrency_limit: ConcurrencyLimit = Field(default=1, description="how many sessions it may run at a time")
    expires_at: Instant | None = Field(default=None, description="null: never")


class IdTag(BaseModel):
    """An id tag of the caller."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"example": ID_TAG_EXAMPLE})

    id: UUID
    tag: str
    label: str
    kind: str = Field(description="`card`, or `app` for starting sessions by this API")
    parent_tag: str | None
    blocked: bool
    concurrency_limit: int
    expires_at: datetime | None
    created_at: datetime


class IdTagPage(Page[IdTag]):
    """Id tags, newest first."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [ID_TAG_EXAMPLE], "next_cursor": None}})


@router.get("/id-tags", summary="List the own id tags", responses=problem_docs())
async def list_id_tags(caller: CurrentCaller, transaction: Transaction, paging: Paging) -> IdTagPage:
    """The caller's id tags, newest first."""
    rows, cursor = await id_tags.list_own(transaction, caller.user_id, paging)
    return IdTagPage(items=[IdTag.model_validate(row) for row in rows], next_cursor=cursor)


@router.post(
    "/id-tags",
    status_code=201,
    summary="Register an id tag",
    responses=problem_docs(BadRequest, Conflict, InProgress, KeyReused),
)
async def create_id_tag(
    *, body: NewIdTag, caller: CurrentCaller, transaction: Transaction, once: Once, now: Now
) -> IdTag:
    """Registers a card, or makes an id tag for an app. A tag belongs to one person."""
    if (earlier := await once.earlier(IdTag)) is not None:
        return earlier
    row = await id_tags.create(transaction, caller.user_id, **body.model_dump(), now=now)
    return await once.remember(IdTag.model_validate(row))


@router.patch("/id-tags/{id_tag_id}", summary="Change an id tag", responses=problem_docs(BadRequest, NotFound))
async def edit_id_tag(id_tag_id: UUID, body: IdTagChange, caller: CurrentCaller, transaction: Transaction) -> IdTag:
    """Changes label, expiry, or blocks a tag that was lost; fields that are left out stay."""
    changes = body.model_dump(exclude_unset=True)
    return IdTag.model_validate(await id_tags.edit(transaction, caller.user_id, id_tag_id, changes))


@router.delete("/id-tags/{id_tag_id}", status_code=204, summary="Forget an id tag", responses=problem_docs(NotFound))
async def delete_id_tag(id_tag_id: UUID, caller: CurrentCaller, transaction: Transaction) -> None:
    """The tag starts nothing any more; sessions that were started with it stay as they are."""
    await id_tags.remove(transaction, caller.user_id, id_tag_id)
