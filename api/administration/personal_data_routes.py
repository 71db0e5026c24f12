"""HTTP of a person's own data as a whole: take it along, or have it erased."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict

from api.administration import erasure
from api.administration.export import export
from api.errors import BadRequest, ErasureRefused, WrongPassword
from api.identity.account_routes import check_password
from api.identity.caller import CurrentCaller
from api.identity.passwords import CurrentPasswords, OldPassword
from api.problems import problem_docs
from api.rate_limits import CurrentLimits
from api.request import Body, CurrentDatabase, Now

router = APIRouter(prefix="/api/v1/me", tags=["accounts"])

EXPORT_EXAMPLE: dict[str, Any] = {
    "exported_at": "2026-05-04T08:30:00Z",
    "user_id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11",
    "tables": {"users": [{"id": "7f0c9a4e-3b77-4c0f-8f0e-6a2d3a1f9c11", "email": "jana@example.com"}], "id_tags": []},
}


class JsonStream(StreamingResponse):
    """JSON that is written while it is read."""

    media_type = "application/json"


class Erasure(Body):
    """The password once more."""

    model_config = ConfigDict(json_schema_extra={"example": {"password": "correct horse battery"}})

    password: OldPassword


@router.get(
    "/export",
    summary="Take the own data along",
    response_class=JsonStream,
    responses=problem_docs()
    | {200: {"content": {"application/json": {"schema": {"type": "object"}, "example": EXPORT_EXAMPLE}}}},
)
async def export_me(caller: CurrentCaller, database: CurrentDatabase, now: Now) -> JsonStream:
    """All that is stored of the caller, table by table: the account, log-ins, id tags, charge points, sessions with
    their meter values, what the caller shares and was given, and the caller's part of the books and of the bank's
    statements. Secrets are left out."""
    headers = {"Content-Disposition": f'attachment; filename="voltuj-{now:%Y-%m-%d}.json"'}
    return JsonStream(export(database, caller.user_id, now), headers=headers)


@router.post(
    "/erasure",
    status_code=204,
    summary="Erase the own account",
    responses=problem_docs(BadRequest, WrongPassword, ErasureRefused),
)
async def erase_me(
    *,
    body: Erasure,
    caller: CurrentCaller,
    passwords: CurrentPasswords,
    database: CurrentDatabase,
    limits: CurrentLimits,
    now: Now,
) -> None:
    """Erases the account for good. Amounts stay in the books under an opaque id. Refused, with `reasons`, while there
    are charge points, sessions that run or are not settled, money kept for a start, an open payout, or a balance."""
    await check_password(body.password, caller, passwords, database, limits)
    async with database.transaction() as connection:
        await erasure.erase(connection, caller.user_id, caller.user_id, now)
