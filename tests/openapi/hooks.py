"""What schemathesis loads in its own process: who asks, and the ids of things that exist. It reads only OPENAPI_RUN.

An operation may end the log-in under which it is asked: then it logs in again, or all after it would be 401.
"""

import json
import os
import uuid
from typing import Any

import httpx
import schemathesis
from schemathesis import GenerationMode

RUN: dict[str, Any] = json.loads(os.environ["OPENAPI_RUN"])
NEVER_S = 24 * 3600
BEYOND_SCHEMA = {
    "value",
    "value_error",
    "tariff",
    "statement",
    "decimal_parsing",
    "decimal_max_digits",
    "decimal_max_places",
}
"""Codes of rules in our own code, of the readers of tariffs and bank files, and of how many digits a decimal has."""
FORM = "application/x-www-form-urlencoded"


@schemathesis.auth(refresh_interval=NEVER_S, retry_on=[401])
class LoggedIn:
    """The access token of the role that asks."""

    def get(self, _case: Any, _context: Any) -> str:
        form = {"username": RUN["email"], "password": RUN["password"]}
        answer = httpx.post(f"{RUN['url']}/api/v1/auth/token", data=form, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def set(self, case: Any, data: str, _context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@schemathesis.hook
def map_path_parameters(_context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Half of the ids that could exist do."""
    for name, value in (path_parameters or {}).items():
        if name in RUN["ids"] and _is_even_id(value):
            path_parameters = {**(path_parameters or {}), name: RUN["ids"][name]}
    return path_parameters


def _is_even_id(value: Any) -> bool:
    try:
        return uuid.UUID(str(value)).int % 2 == 0
    except ValueError:
        return False


@schemathesis.check
def schema_says_what_is_refused(context: Any, response: Any, case: Any) -> None:
    """A request that fits the schema is refused (422) only by rules that JSON Schema cannot say.

    Such are a time zone's name, an IBAN, two fields that exclude each other.
    """
    if response.status_code != 422 or case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if any(str(value) == "None" for value in (case.path_parameters or {}).values()):
        return  # a sequence took the id from a field that was null
    problem = response.json()
    told = {each["code"] for each in problem.get("errors") or []} - BEYOND_SCHEMA
    if case.media_type == FORM:
        told -= {"missing", "string_pattern_mismatch"}  # a form has no null, and an empty field is as none
    assert not told, f"the schema allows what the api refuses as {sorted(told)}: {problem['errors']}"
