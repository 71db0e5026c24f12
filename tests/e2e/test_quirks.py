"""A charge point that departs from OCPP 1.6, through the whole stack: refused, suggested, set, taken, and replayed."""

import json
from typing import Any

from tests.harness.fixtures import Running
from tests.harness.stack import eventually
from tests.integration.gateway.wallbox import BOOT, refusal, wallbox

START = '{"connectorId":"1","idTag":%s,"meterStart":1000.0,"timestamp":"2026-05-04T09:00:00"}'
NEEDED = ["decimal_integers", "strings_for_numbers", "timestamp_without_zone"]


async def test_refused_suggested_set_taken_and_replayed(running: Running) -> None:
    owner = running.owner
    created, card = await owner.wallbox(), await owner.card()
    path = f"/charge-points/{created['id']}"
    assert (await refusal(running.gateway.port, created["identity"], key=b"wrong")).status_code == 401
    onboarding = (await owner.get(path))["onboarding"]
    assert (onboarding["state"], onboarding["last_refused"][0]["reason"]) == ("waiting", "wrong_key")
    frame = f'[2,"s","StartTransaction",{START % json.dumps(card)}]'
    async with wallbox(running.gateway.port, created["identity"], key=created["key"].encode()) as box:
        assert (await box.call("BootNotification", BOOT))[2]["status"] == "Accepted"
        await box.send(frame)
        assert (await box.receive())[:3] == [4, "s", "TypeConstraintViolation"]
        suggested = await eventually(lambda: suggestions(running, path), "the suggestion")
        assert suggested == NEEDED
        (kept,) = (await owner.get(f"{path}/unprocessed"))["items"]
        assert kept["suggested_quirks"] == NEEDED
        await owner.http.put(f"{path}/quirks", json={"quirks": NEEDED})

        async def taken() -> list[Any]:
            await box.send(frame)
            answer = await box.receive()
            return answer if answer[0] == 3 else []

        answer = await eventually(taken, "the Start")
        assert answer[2]["idTagInfo"]["status"] == "Accepted"
    replayed = await owner.post(f"{path}/unprocessed/{kept['id']}/replay", {})
    (session,) = (await owner.get("/transactions"))["items"]
    assert (session["meter_start_wh"], session["id_tag"]) == (1000, card)
    assert replayed["transaction_id"] == session["id"], "the replay finds the session that the repeated Start began"
    log = (await owner.get(f"{path}/messages", action="StartTransaction", direction="in"))["items"]
    assert {message["raw"] for message in log} == {frame}
    assert log[0]["note"].startswith("repaired: ")
    assert log[-1]["note"] is None
    assert (await owner.get(path))["onboarding"]["state"] == "connected"


async def suggestions(running: Running, path: str) -> list[str]:
    suggested: list[str] = sorted((await running.owner.get(f"{path}/quirks"))["suggested"])
    return suggested
