"""What shares a commit: statuses in one statement, Starts in one transaction; none of them may harm another."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from api.charge_points.live import read_live
from tests.harness.stack import eventually
from tests.integration.listener.gateway import Gateway, StartListener, call, give_card, iso, make_charge_point
from wire.messages import ChargePointCall, LoggedFrame, Tolerance

NOW = datetime.now(UTC).replace(microsecond=0)
BOXES = 12
LOCK = "select pg_advisory_lock(hashtextextended($1, 0))"
RESERVE = """
with asked as (
    insert into commands (charge_point_id, user_id, action, payload, epoch, deadline_at, status)
    select id, owner_id, 'ReserveNow', '{}', 1, now(), 'accepted' from charge_points returning id, charge_point_id
)
insert into reservations (charge_point_id, reservation_id, connector_id, id_tag, expires_at, status, command_id)
select charge_point_id, 7, 1, 'CARD', now() + interval '1 hour', 'accepted', id from asked
"""
UNLOCK = "select pg_advisory_unlock(hashtextextended($1, 0))"


@pytest.fixture
async def wallboxes(connection: asyncpg.Connection, gateway: Gateway, listen: StartListener) -> list[str]:
    """Some charge points, each with a card of its own, and a listener."""
    made = [await make_charge_point(connection, f"BOX{number}") for number in range(BOXES)]
    for number, wallbox in enumerate(made):
        await give_card(connection, wallbox, f"CARD{number}")
    listen()
    await gateway.wait_for_listeners(1)
    return made


def status(gateway: Gateway, wallbox: str, word: str, connector: int = 1, **changes: Any) -> ChargePointCall:
    request = {"connectorId": connector, "errorCode": "NoError", "status": word, "timestamp": iso(NOW)}
    return call(wallbox, "StatusNotification", request, reply_to=gateway.inbox, **changes)


def start(gateway: Gateway, wallbox: str, tag: str) -> ChargePointCall:
    request = {"connectorId": 1, "idTag": tag, "meterStart": 0, "timestamp": iso(NOW - timedelta(hours=1))}
    return call(wallbox, "StartTransaction", request, reply_to=gateway.inbox)


async def answers(gateway: Gateway, messages: list[ChargePointCall]) -> list[dict[str, Any]]:
    outcomes = [await gateway.outcome(message.id) for message in messages]
    assert not any(outcome.error_code for outcome in outcomes)
    return [orjson.loads(outcome.payload) for outcome in outcomes]


class TestStatuses:
    async def test_each_is_judged_by_the_one_before(
        self, connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
    ) -> None:
        words = ("Preparing", "Charging", "Finishing")
        sent = [status(gateway, wallbox, word) for word in words for wallbox in wallboxes]
        stale = [status(gateway, wallbox, "Available", epoch=0) for wallbox in wallboxes]
        other = [status(gateway, wallbox, "SuspendedEV", 2) for wallbox in wallboxes]
        await gateway.send([*sent, *stale, *other])
        assert await answers(gateway, [*sent, *stale, *other]) == [{}] * 5 * BOXES
        rows = await connection.fetch("select connector_id, status from connectors")
        assert sorted(map(tuple, rows)) == [(1, "Finishing")] * BOXES + [(2, "SuspendedEV")] * BOXES
        logged = await connection.fetchval("select count(*) from message_log where direction = 'in'")
        assert logged == 5 * BOXES

        async def shown() -> bool:
            live = await read_live(gateway.redis, gateway.channels, wallboxes[0])
            return {n: c.status for n, c in live.connectors.items()} == {1: "Finishing", 2: "SuspendedEV"}

        await eventually(shown, "the live state of what was newer")

    async def test_a_connector_that_fails_loses_its_reservation(
        self, connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
    ) -> None:
        await connection.execute(RESERVE)
        words = {wallboxes[0]: "Faulted", wallboxes[1]: "Unavailable"}
        sent = [status(gateway, wallbox, words.get(wallbox, "Available")) for wallbox in wallboxes]
        late = status(gateway, wallboxes[2], "Faulted", epoch=0)
        await gateway.send([*sent, late])
        await answers(gateway, [*sent, late])
        rows = await connection.fetch("select charge_point_id::text, status, ended_at from reservations")
        expected = {wallbox: words.get(wallbox, "accepted").lower() for wallbox in wallboxes}
        assert {row["charge_point_id"]: row["status"] for row in rows} == expected
        assert {row["ended_at"] for row in rows} == {None, NOW}

    async def test_one_that_cannot_be_stored_harms_no_other(
        self, connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
    ) -> None:
        sent = [status(gateway, wallbox, "Charging") for wallbox in wallboxes]
        poison = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "info": "\0"}
        sent[3] = call(wallboxes[3], "StatusNotification", poison, reply_to=gateway.inbox)
        await gateway.send([*sent])
        assert await answers(gateway, sent) == [{}] * BOXES
        assert await connection.fetchval("select count(*) from connectors where status = 'Charging'") == BOXES - 1
        assert await connection.fetchval("select charge_point_id::text from unprocessed") == wallboxes[3]


class TestStarts:
    async def test_of_many_are_each_answered_with_their_own(
        self, connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
    ) -> None:
        sent = [start(gateway, wallbox, f"CARD{number}") for number, wallbox in enumerate(wallboxes)]
        await gateway.send([*sent])
        told = {m.charge_point_id: a["transactionId"] for m, a in zip(sent, await answers(gateway, sent), strict=True)}
        rows = await connection.fetch(
            "select charge_point_id::text, ocpp_transaction_id, id_tag_status from transactions"
        )
        assert {row["charge_point_id"]: row["ocpp_transaction_id"] for row in rows} == told
        assert {row["id_tag_status"] for row in rows} == {"Accepted"}

    async def test_one_that_cannot_be_stored_harms_no_other(
        self, connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
    ) -> None:
        sent = [start(gateway, wallbox, f"CARD{number}") for number, wallbox in enumerate(wallboxes)]
        sent[5] = start(gateway, wallboxes[5], "CARD\0")
        await gateway.send([*sent])
        assert len({answer["transactionId"] for answer in await answers(gateway, sent)}) == BOXES
        held = await connection.fetch("select charge_point_id::text from transactions where held_reasons <> '{}'")
        assert [row["charge_point_id"] for row in held] == [wallboxes[5]]
        assert await connection.fetchval("select count(*) from transactions") == BOXES
        assert await connection.fetchval("select count(*) from message_log where direction = 'in'") == BOXES

    async def test_of_a_locked_charge_point_makes_nobody_else_wait(
        self, connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
    ) -> None:
        sent = [start(gateway, wallbox, f"CARD{number}") for number, wallbox in enumerate(wallboxes)]
        await connection.execute(LOCK, wallboxes[0])
        await gateway.send([*sent])
        await answers(gateway, sent[1:])
        assert sent[0].id not in gateway.outcomes
        await connection.execute(UNLOCK, wallboxes[0])
        await answers(gateway, sent[:1])
        assert await connection.fetchval("select count(*) from transactions") == BOXES


def values(gateway: Gateway, wallbox: str, message_id: str, **changes: Any) -> ChargePointCall:
    payload = b'{ "connectorId":1, "meterValue":[{"timestamp":"%b","sampledValue":[{"value":"7"}]}],"\xc5\xbe":1.0}'
    raw = payload % iso(NOW).encode()
    return call(wallbox, "MeterValues", raw, reply_to=gateway.inbox, message_id=message_id, **changes)


class TestLog:
    LINES = "select direction, message_type, message_id, action, frame, note from message_log order by id"

    async def lines(self, connection: asyncpg.Connection, of: str) -> list[tuple[Any, ...]]:
        return [tuple(line) for line in await connection.fetch(self.LINES) if of.encode() in line["frame"]]

    async def test_of_calls_and_frames_that_came_together_keeps_each_as_it_was(
        self, connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
    ) -> None:
        ids = ['"quoted" \\ ', "\0nought", "\u017elu\u0165 \U0001f50c", "plain"]
        sent = [values(gateway, wallbox, each) for wallbox, each in zip(wallboxes, ids, strict=False)]
        original = b'{"connectorId":"1","meterValue":[]}'
        tolerance = Tolerance(original, ["numbers: \0 and more", "again"])
        sent.append(values(gateway, wallboxes[4], "repaired", tolerance=tolerance))
        sent.append(values(gateway, wallboxes[5], "refused", refused="FormationViolation", refused_description="'x'"))
        beats = [b'[2, "beat","Heartbeat",{}]', b'[3,"beat",{"currentTime":"x"}]', b'[4,"beat","GenericError","",{}]']
        frames = [LoggedFrame(wallboxes[6], 1, NOW.timestamp(), "in", frame) for frame in beats]
        await gateway.send([*frames[:1], *sent, *frames[1:]])
        outcomes = [await gateway.outcome(message.id) for message in sent]
        assert [outcome.error_code for outcome in outcomes] == [""] * 5 + ["FormationViolation"]

        for message in sent[:4]:
            quoted = orjson.dumps(message.message_id)
            told = message.message_id.replace("\0", "\N{REPLACEMENT CHARACTER}")
            assert await self.lines(connection, quoted.decode()) == [
                ("in", 2, told, "MeterValues", b'[2,%b,"MeterValues",%b]' % (quoted, message.payload), None),
                ("out", 3, told, "MeterValues", b"[3,%b,{}]" % quoted, None),
            ]
        request, reply = await self.lines(connection, '"repaired"')
        assert request[4:] == (
            b'[2,"repaired","MeterValues",%b]' % original,
            "repaired: numbers: \N{REPLACEMENT CHARACTER} and more; again",
        )
        assert reply[4:] == (b'[3,"repaired",{}]', None)
        request, reply = await self.lines(connection, '"refused"')
        assert (request[:2], reply[:2]) == (("in", 2), ("out", 4))
        assert reply[4] == b'[4,"refused","FormationViolation","\'x\'",{}]'
        beaten = await self.lines(connection, '"beat"')
        assert [(line[1], line[3], line[4]) for line in beaten] == [
            (2, "Heartbeat", beats[0]), (3, None, beats[1]), (4, None, beats[2]),
        ]  # fmt: skip

    async def test_says_when_each_came(
        self, connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
    ) -> None:
        arrived = [NOW - timedelta(minutes=number, microseconds=7 * number) for number in range(BOXES)]
        sent = [
            values(gateway, wallbox, "1", received_at=at.timestamp())
            for wallbox, at in zip(wallboxes, arrived, strict=True)
        ]
        await gateway.send([*sent])
        await answers(gateway, sent)
        logged = await connection.fetch("select at from message_log where direction = 'in' order by at desc")
        stored = await connection.fetch("select received_at from meter_values order by received_at desc")
        assert [row[0] for row in logged] == [row[0] for row in stored] == arrived
        assert await connection.fetchval("select bool_and(at > $1) from message_log where direction = 'out'", NOW)


async def test_what_is_tried_again_while_it_is_in_hand_is_done_once(
    connection: asyncpg.Connection, gateway: Gateway, wallboxes: list[str]
) -> None:
    message, other = start(gateway, wallboxes[0], "CARD0"), start(gateway, wallboxes[1], "CARD1")
    await connection.execute(LOCK, wallboxes[0])
    for again in (message, message, other):
        await gateway.send([again])
    await answers(gateway, [other])
    await connection.execute(UNLOCK, wallboxes[0])
    await answers(gateway, [message])
    last = start(gateway, wallboxes[0], "CARD0")
    await gateway.send([last])
    assert await answers(gateway, [last]) == await answers(gateway, [message])
    logged = await connection.fetch("select message_id from message_log where direction = 'in' order by 1")
    assert sorted(row["message_id"] for row in logged) == sorted(m.message_id for m in (message, other, last))
