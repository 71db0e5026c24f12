"""Certification cases of Core: booting and charging sessions, online and offline. Commands are in other files."""

from ocpp.v16 import call

from tests.conformance.case import Case
from tests.harness.wallbox import minutes_ago

METER_START_WH = 1000


async def charging(case: Case, id_tag: str, *, minutes: int = 9) -> int:
    """A session that began some minutes ago and charges on connector 1; its transactionId."""
    await case.cp.status("Preparing")
    started = await case.cp.start(id_tag, METER_START_WH, at=minutes_ago(minutes))
    assert started.id_tag_info["status"] == "Accepted"
    assert 0 < started.transaction_id < 2**31
    await case.cp.status("Charging")
    return int(started.transaction_id)


async def is_charging(case: Case, ocpp_id: int, id_tag: str) -> None:
    """The API shows the session and its connector."""
    await case.connector_is("Charging")
    transaction = await case.transaction(ocpp_id)
    assert transaction["status"] == "active"
    assert transaction["id_tag"] == id_tag.upper()
    assert (transaction["connector_id"], transaction["meter_start_wh"]) == (1, METER_START_WH)
    assert (await case.connector())["transaction_id"] == transaction["id"]


async def is_stopped(case: Case, ocpp_id: int, reason: str, energy_wh: int) -> None:
    """The API shows how the session ended, with its price (5.50 CZK a kWh), and a free connector."""
    await case.connector_is("Available")
    transaction = await case.transaction(ocpp_id)
    assert (transaction["status"], transaction["stop_reason"]) == ("stopped", reason)
    assert transaction["energy_wh"] == energy_wh
    assert transaction["held_reasons"] == []
    assert transaction["total_minor"] == energy_wh * 550 // 1000
    assert (await case.connector())["transaction_id"] is None


async def test_tc_001_cold_boot(case: Case) -> None:
    """4.2: BootNotification is answered with a status, our time and the heartbeat interval; after Accepted the statuses
    of connectors 0 to n are taken, and a Heartbeat (4.6) is answered with the time."""
    cp = case.cp
    await cp.connect()
    boot = await cp.boot(1, 2, charge_point_serial_number="SN-1")
    assert boot.status == "Accepted"
    assert boot.interval > 0
    assert boot.current_time.endswith("Z")
    heartbeat = await cp.call(call.Heartbeat())
    assert heartbeat.current_time.endswith("Z")
    shown = await case.owner.get(case.path)
    assert (shown["registration"], shown["vendor"], shown["model"]) == ("Accepted", "Acme", "W1")
    assert shown["online"] is True
    for connector_id in (0, 1, 2):
        await case.connector_is("Available", connector_id)


async def test_tc_003_session_plug_in_first(booted: Case) -> None:
    """4.8, 4.10: the cable first, then the card; Start is answered with idTagInfo and a transactionId, Stop with the
    idTagInfo of the tag that stopped. Without a reason it was stopped on the spot: Local."""
    case, cp, card = booted, booted.cp, await booted.owner.card()
    await cp.status("Preparing")
    await case.connector_is("Preparing")
    assert (await cp.authorize(card))["status"] == "Accepted"
    started = await cp.start(card, METER_START_WH, at=minutes_ago(9))
    assert started.id_tag_info["status"] == "Accepted"
    await cp.status("Charging")
    await cp.meter(started.transaction_id, METER_START_WH + 1000)
    await is_charging(case, started.transaction_id, card)
    assert (await cp.authorize(card))["status"] == "Accepted"
    stopped = await cp.stop(started.transaction_id, METER_START_WH + 2000, id_tag=card)
    assert stopped.id_tag_info["status"] == "Accepted"
    await cp.status("Finishing")
    await case.connector_is("Finishing")
    await cp.status("Available")
    await is_stopped(case, started.transaction_id, "Local", 2000)
    transaction = await case.transaction()
    values = await case.owner.get(f"/transactions/{transaction['id']}/meter-values")
    assert [value["energy_wh"] for value in values["items"]] == [METER_START_WH + 1000]


async def test_tc_004_1_session_identification_first(booted: Case) -> None:
    """4.1: Authorize comes before the cable; the Start that follows is verified again and answered."""
    cp, card = booted.cp, await booted.owner.card()
    assert (await cp.authorize(card))["status"] == "Accepted"
    ocpp_id = await charging(booted, card)
    await is_charging(booted, ocpp_id, card)


async def test_tc_004_2_identification_first_connection_timeout(booted: Case) -> None:
    """9.1.4 ConnectionTimeOut: who authorizes and never plugs in gets no transaction; the connector is free again."""
    cp, card = booted.cp, await booted.owner.card()
    assert (await cp.authorize(card))["status"] == "Accepted"
    await cp.status("Preparing")
    await booted.connector_is("Preparing")
    await cp.status("Available")
    await booted.connector_is("Available")
    assert await booted.transactions() == []


async def test_tc_005_1_stop_on_ev_disconnect(booted: Case) -> None:
    """4.10: a session that the EV side ended is stopped with reason EVDisconnected and without an idTag; its answer
    has no idTagInfo then."""
    cp, card = booted.cp, await booted.owner.card()
    ocpp_id = await charging(booted, card)
    await cp.status("SuspendedEV")
    await booted.connector_is("SuspendedEV")
    stopped = await cp.stop(ocpp_id, METER_START_WH + 1500, "EVDisconnected")
    assert stopped.id_tag_info is None
    await cp.status("Finishing")
    await cp.status("Available")
    await is_stopped(booted, ocpp_id, "EVDisconnected", 1500)


async def test_tc_007_start_with_a_cached_id(booted: Case) -> None:
    """3.5.1: a charge point that knows the id from its cache starts without Authorize; the id is verified at Start."""
    card = await booted.owner.card(expires_at="2099-01-01T00:00:00Z")
    await booted.cp.status("Preparing")
    started = await booted.cp.start(card.lower(), METER_START_WH)
    assert started.id_tag_info["status"] == "Accepted"
    assert started.id_tag_info["expiry_date"].startswith("2099-01-01T00:00:00")
    await booted.cp.status("Charging")
    await is_charging(booted, started.transaction_id, card)


async def refused(case: Case, id_tag: str, status: str) -> None:
    """Authorize, and a Start that comes all the same, are answered with the status."""
    await case.cp.status("Preparing")
    assert (await case.cp.authorize(id_tag))["status"] == status
    await case.cp.status("Available")
    assert await case.transactions() == []
    started = await case.cp.start(id_tag, METER_START_WH)
    assert started.id_tag_info["status"] == status
    assert started.transaction_id > 0
    await case.cp.stop(started.transaction_id, METER_START_WH, "DeAuthorized")
    transaction = await case.transaction(started.transaction_id)
    assert (transaction["id_tag_status"], transaction["status"]) == (status, "stopped")
    assert transaction["driver_id"] is None or status != "Invalid"


async def test_tc_023_1_start_with_an_invalid_id(booted: Case) -> None:
    """4.1, 7.2: an unknown id is Invalid. A Start with it is stored too (4.8), and answered with the status."""
    await refused(booted, "NOBODY-KNOWS-ME", "Invalid")


async def test_tc_023_2_start_with_an_expired_id(booted: Case) -> None:
    """4.1, 7.2: an id whose time is over is Expired."""
    await refused(booted, await booted.owner.card(expires_at="2025-01-01T00:00:00Z"), "Expired")


async def test_tc_023_3_start_with_a_blocked_id(booted: Case) -> None:
    """4.1, 7.2: an id that its holder blocked is Blocked."""
    card = await booted.owner.card()
    [tag] = [item for item in (await booted.owner.get("/id-tags", limit=200))["items"] if item["tag"] == card]
    changed = await booted.owner.http.patch(f"/id-tags/{tag['id']}", json={"blocked": True})
    assert changed.status_code == 200
    await refused(booted, card, "Blocked")


async def test_tc_024_connector_lock_failure(booted: Case) -> None:
    """4.9: a connector that cannot be locked is Faulted with ConnectorLockFailure; no transaction begins."""
    cp, card = booted.cp, await booted.owner.card()
    assert (await cp.authorize(card))["status"] == "Accepted"
    await cp.status("Preparing")
    await cp.status("Faulted", error_code="ConnectorLockFailure")
    connector = await booted.connector()
    assert (connector["status"], connector["error_code"]) == ("Faulted", "ConnectorLockFailure")
    assert await booted.transactions() == []


async def test_tc_032_1_power_failure_stop_after_boot(booted: Case) -> None:
    """4.10, 7.36: after a power failure the charge point boots and stops what ran, with the time and the register of
    when the power went; the reason is PowerLoss."""
    cp, card = booted.cp, await booted.owner.card()
    ocpp_id = await charging(booted, card)
    await cp.lose_power()
    await booted.is_online(False)
    assert (await booted.transaction(ocpp_id))["status"] == "active"
    lost_at = minutes_ago(5)
    await cp.connect()
    assert (await cp.boot()).status == "Accepted"
    await cp.stop(ocpp_id, METER_START_WH + 900, "PowerLoss", at=lost_at)
    await is_stopped(booted, ocpp_id, "PowerLoss", 900)
    assert (await booted.transaction(ocpp_id))["stopped_at"][:19] == lost_at[:19]


async def offline_and_back(case: Case) -> None:
    """The link is gone for a while; J 5.4: no BootNotification after it."""
    await case.cp.lose_power()
    await case.is_online(False)
    await case.cp.connect()


async def test_tc_037_1_offline_start_valid_id(booted: Case) -> None:
    """3.7: a Start from the queue is taken however old it is, with the charge point's own time."""
    cp, card, began = booted.cp, await booted.owner.card(), minutes_ago(90)
    await offline_and_back(booted)
    started = await cp.start(card, METER_START_WH, at=began)
    assert started.id_tag_info["status"] == "Accepted"
    await cp.status("Charging")
    await is_charging(booted, started.transaction_id, card)
    assert (await booted.transaction())["started_at"][:19] == began[:19]
    assert (await booted.transaction())["held_reasons"] == []


async def test_tc_037_3_offline_start_invalid_id(booted: Case) -> None:
    """4.8: an offline Start with an unknown id is stored and answered Invalid; the charge point, as
    StopTransactionOnInvalidId says, stops it with reason DeAuthorized. Nobody is billed."""
    cp, began = booted.cp, minutes_ago(20)
    await offline_and_back(booted)
    started = await cp.start("UNKNOWN-OFFLINE", METER_START_WH, at=began)
    assert started.id_tag_info["status"] == "Invalid"
    assert started.transaction_id > 0
    await cp.status("Charging")
    await cp.stop(started.transaction_id, METER_START_WH + 500, "DeAuthorized")
    await cp.status("Finishing")
    transaction = await booted.transaction(started.transaction_id)
    assert (transaction["status"], transaction["stop_reason"]) == ("stopped", "DeAuthorized")
    assert (transaction["energy_wh"], transaction["total_minor"]) == (500, None)
    assert transaction["held_reasons"] != []


async def test_tc_039_whole_transaction_offline(booted: Case) -> None:
    """3.7: Start and Stop both come from the queue, in order; the session is complete and has its price."""
    cp, card = booted.cp, await booted.owner.card()
    began, ended = minutes_ago(9), minutes_ago(3)
    await offline_and_back(booted)
    started = await cp.start(card, METER_START_WH, at=began)
    stopped = await cp.stop(started.transaction_id, METER_START_WH + 1800, "Local", card, at=ended)
    assert stopped.id_tag_info["status"] == "Accepted"
    await cp.status("Available")
    await is_stopped(booted, started.transaction_id, "Local", 1800)
    transaction = await booted.transaction()
    assert (transaction["started_at"][:19], transaction["stopped_at"][:19]) == (began[:19], ended[:19])


async def test_tc_064_data_transfer_to_the_central_system(booted: Case) -> None:
    """4.3: data of a vendor that we do not know is answered UnknownVendorId, never accepted blindly."""
    answer = await booted.cp.call(call.DataTransfer(vendor_id="org.example.unknown", message_id="M1", data="something"))
    assert answer.status == "UnknownVendorId"
    assert answer.data is None
    messages = (await booted.owner.get(f"{booted.path}/messages", action="DataTransfer"))["items"]
    assert messages[-1]["payload"]["vendorId"] == "org.example.unknown"
