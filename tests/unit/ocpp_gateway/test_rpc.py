"""The OCPP-J session: who may send what next, and what goes back."""

import json

import pytest

from ocpp_gateway import rpc
from ocpp_gateway.rpc import Close, Forward, Note, Seen, Send, Session
from tests.unit.ocpp_gateway.bad_frames import BAD_FRAMES, BadFrame
from wire.messages import CallOutcome, Command, CommandOutcome
from wire.quirks import MISSING_VALUES, NUMBERS_FOR_STRINGS, STATUS_BEFORE_BOOT, ZOMBIE_LINK

NOW = 1_767_225_600.25
"""2026-01-01T00:00:00.250Z"""
HEARTBEAT = b'[2,"h","Heartbeat",{}]'
AUTHORIZE = b'[2,"a","Authorize",{"idTag":"A"}]'
START = b'{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}'


def session(registration: str = "Accepted", *quirks: str) -> Session:
    return Session(registration, quirks, command_timeout_s=30)


def sent(effects: list[rpc.Effect]) -> list[list[object]]:
    return [json.loads(effect.frame) for effect in effects if isinstance(effect, Send)]


def outcomes(effects: list[rpc.Effect]) -> list[tuple[str, str]]:
    return [(effect.id, effect.status) for effect in effects if isinstance(effect, CommandOutcome)]


def command(name: str, *, deadline: float = NOW + 600, action: str = "ClearCache") -> Command:
    return Command(name, "cp", 1, action, b"{}", deadline)


def answer(payload: bytes = b"{}", **fields: str) -> CallOutcome:
    return CallOutcome("1-1", "cp", payload, **fields)  # type: ignore[arg-type]


class TestBounds:
    """What waits is bounded by its number and by its weight."""

    def test_few_large_ones_are_as_much_as_many_small_ones(self) -> None:
        one = session()
        large = b'[2,"x","DataTransfer",{"vendorId":"V","data":"%b"}]' % (b"x" * (rpc.MAX_WAITING_BYTES // 2))
        one.receive(AUTHORIZE, NOW)
        assert one.wants_more
        one.receive(large, NOW)
        assert one.wants_more
        one.receive(large, NOW)
        assert not one.wants_more
        one.answered(answer(), NOW)
        assert one.wants_more


class TestHeartbeat:
    """4.6: answered at once with the time, which ends in Z."""

    def test_answer(self) -> None:
        effects = session().receive(HEARTBEAT, NOW)
        assert sent(effects) == [[3, "h", {"currentTime": "2026-01-01T00:00:00.250Z"}]]
        assert [effect.direction for effect in effects if isinstance(effect, Note)] == ["in", "out"]


class TestRegistration:
    """4.2 and J errata 3.8: before it is accepted, nothing but BootNotification."""

    @pytest.mark.parametrize("registration", ["", "Pending", "Rejected"])
    def test_security_error(self, registration: str) -> None:
        early = session(registration)
        assert [frame[:3] for frame in sent(early.receive(HEARTBEAT, NOW))] == [[4, "h", "SecurityError"]]
        boot = b'[2,"b","BootNotification",{"chargePointModel":"M","chargePointVendor":"V"}]'
        (forward,) = early.receive(boot, NOW)
        assert isinstance(forward, Forward)
        assert forward.flaw is None
        early.answered(answer(registration="Accepted"), NOW)
        assert sent(early.receive(HEARTBEAT, NOW))[0][0] == 3

    def test_a_start_is_committed_before_it_is_refused(self) -> None:
        early = session("Pending")
        (forward,) = early.receive(b'[2,"s","StartTransaction",' + START + b"]", NOW)
        assert isinstance(forward, Forward)
        assert forward.flaw is not None
        assert (forward.flaw.code, forward.call.payload) == ("SecurityError", START)
        assert [frame[:3] for frame in sent(early.answered(answer(), NOW))] == [[4, "s", "SecurityError"]]

    def test_quirk_status_before_boot(self) -> None:
        status = b'[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
        assert sent(session("").receive(status, NOW))[0][2] == "SecurityError"
        assert isinstance(session("", STATUS_BEFORE_BOOT).receive(status, NOW)[0], Forward)


class TestBadFrames:
    """J 4.2.3."""

    @pytest.mark.parametrize("bad", BAD_FRAMES, ids=[bad.name for bad in BAD_FRAMES])
    def test_refusal_and_the_next_good_frame(self, bad: BadFrame) -> None:
        one = session()
        effects = one.receive(bad.frame, NOW)
        if any(isinstance(effect, Forward) for effect in effects):
            assert b"Transaction" in bad.frame or b"MeterValues" in bad.frame
            effects = one.answered(answer(), NOW)
        assert [frame[:3] for frame in sent(effects)] == [[4, bad.message_id, bad.code]]
        assert sent(one.receive(HEARTBEAT, NOW))[0][:2] == [3, "h"]

    def test_there_are_many_kinds(self) -> None:
        assert len({bad.name for bad in BAD_FRAMES}) == len(BAD_FRAMES) >= 30

    def test_ten_unreadable_in_a_row_end_it(self) -> None:
        one = session()
        for _ in range(3):
            for _ in range(9):
                assert not any(isinstance(effect, Close) for effect in one.receive(b"x", NOW))
            one.receive(HEARTBEAT, NOW)
        for _ in range(9):
            one.receive(b"x", NOW)
        assert [effect.code for effect in one.receive(b"x", NOW) if isinstance(effect, Close)] == [1008]


class TestOneOutstandingCall:
    """J 4.1.1, in both directions."""

    def test_pipelined_calls_wait_and_keep_their_order(self) -> None:
        one = session()
        (first,) = one.receive(AUTHORIZE, NOW)
        assert isinstance(first, Forward)
        assert one.receive(HEARTBEAT, NOW) == []
        assert one.receive(b"garbage", NOW) == []
        assert one.receive(AUTHORIZE.replace(b'"a"', b'"b"'), NOW + 1) == []
        effects = one.answered(answer(b'{"idTagInfo":{"status":"Accepted"}}'), NOW)
        assert [frame[1] for frame in sent(effects)] == ["a", "h", "-1"]
        last = effects[-1]
        assert isinstance(last, Forward)
        assert (last.call.message_id, last.sequence, last.received_at) == ("b", 2, NOW + 1)

    def test_the_socket_is_left_alone_while_many_wait(self) -> None:
        one = session()
        one.receive(AUTHORIZE, NOW)
        for _ in range(rpc.MAX_WAITING_CALLS):
            assert one.wants_more
            one.receive(HEARTBEAT, NOW)
        assert not one.wants_more
        one.answered(answer(), NOW)
        assert one.wants_more

    def test_an_error_code_of_the_api(self) -> None:
        one = session()
        one.receive(AUTHORIZE, NOW)
        effects = one.answered(answer(error_code="NotSupported", error_description="not here"), NOW)
        assert sent(effects) == [[4, "a", "NotSupported", "not here", {}]]
        assert one.answered(answer(), NOW) == []

    def test_commands_go_one_by_one(self) -> None:
        one = session()
        assert outcomes(one.command(command("c1"), NOW)) == [("c1", "sent")]
        assert one.command(command("c2"), NOW) == []
        effects = one.receive(b'[3,"c1",{"status":"Accepted"}]', NOW)
        assert outcomes(effects) == [("c1", "result"), ("c2", "sent")]
        assert sent(effects) == [[2, "c2", "ClearCache", {}]]

    def test_calls_that_cross(self) -> None:
        one = session()
        one.command(command("c1"), NOW)
        assert sent(one.receive(HEARTBEAT, NOW))[0][1] == "h"
        assert outcomes(one.receive(b'[3,"c1",{"status":"Accepted"}]', NOW)) == [("c1", "result")]

    def test_too_many_commands(self) -> None:
        one = session()
        for number in range(rpc.MAX_WAITING_COMMANDS + 1):
            one.command(command(f"c{number}"), NOW)
        assert outcomes(one.command(command("over"), NOW)) == [("over", "call_error")]


class TestAnswersToCommands:
    """Each command has one end."""

    @pytest.mark.parametrize(
        "frame", [b'[3,"other",{}]', b'[4,"-1","NotImplemented","",{}]', b'[3,"c1"]', b'[4,"other","x"]']
    )
    def test_what_nobody_waits_for_ends_nothing(self, frame: bytes) -> None:
        one = session()
        one.command(command("c1"), NOW)
        effects = one.receive(frame, NOW)
        assert (outcomes(effects), sent(effects)) == ([], [])
        assert any(isinstance(effect, Note) for effect in effects)
        assert outcomes(one.receive(b'[3,"c1",{"status":"Accepted"}]', NOW)) == [("c1", "result")]

    def test_a_result_that_does_not_fit_its_schema(self) -> None:
        one = session()
        one.command(command("c1"), NOW)
        effects = one.receive(b'[3,"c1",{"status":5}]', NOW)
        ended = effects[-1]
        assert isinstance(ended, CommandOutcome)
        assert (ended.status, ended.error_code, ended.payload) == ("call_error", "FormationViolation", b'{"status":5}')

    def test_timeouts(self) -> None:
        one = session()
        one.command(command("c1"), NOW)
        one.command(command("c2", deadline=NOW + 10), NOW)
        one.command(command("c3"), NOW)
        assert one.next_deadline == NOW + 10
        assert outcomes(one.tick(NOW + 10)) == [("c2", "timeout")]
        assert outcomes(one.tick(NOW + 29.9)) == []
        assert outcomes(one.tick(NOW + 30)) == [("c1", "timeout"), ("c3", "sent")]
        assert outcomes(one.receive(b'[3,"c1",{"status":"Accepted"}]', NOW + 31)) == []
        assert one.next_deadline == NOW + 60

    def test_never_beyond_its_own_deadline(self) -> None:
        one = session()
        one.command(command("c1", deadline=NOW + 5), NOW)
        assert outcomes(one.tick(NOW + 5)) == [("c1", "timeout")]

    def test_the_end_of_the_connection(self) -> None:
        one = session()
        one.command(command("c1"), NOW)
        one.command(command("c2"), NOW)
        assert [(outcome.id, outcome.status) for outcome in one.end(NOW)] == [("c1", "unknown"), ("c2", "offline")]
        assert one.end(NOW) == []


class TestDrain:
    """A stopping gateway acknowledges nothing that it has not handed over."""

    def test_new_calls_stay_with_the_charge_point(self) -> None:
        one = session()
        one.receive(AUTHORIZE, NOW)
        one.receive(HEARTBEAT, NOW)
        one.drain()
        assert one.is_busy
        assert one.receive(HEARTBEAT, NOW) == []
        assert [frame[1] for frame in sent(one.answered(answer(), NOW))] == ["a"]
        assert not one.is_busy


class TestQuirks:
    """What is repaired before it is forwarded, and what is only told."""

    def test_a_repaired_call_carries_its_original(self) -> None:
        (forward,) = session("Accepted", NUMBERS_FOR_STRINGS).receive(b'[2,"a","Authorize",{"idTag":12.50}]', NOW)
        assert isinstance(forward, Forward)
        assert (forward.call.payload, forward.judged.original) == (b'{"idTag":"12.50"}', b'{"idTag":12.50}')
        assert forward.judged.notes == ("numbers_for_strings: idTag '12.50' taken as its text",)

    def test_a_refused_call_says_what_would_help(self) -> None:
        effects = session().receive(b'[2,"a","Authorize",{"idTag":12}]', NOW)
        assert effects[0] == Seen((NUMBERS_FOR_STRINGS,))
        assert sent(effects)[0][:3] == [4, "a", "TypeConstraintViolation"]

    def test_a_start_that_is_refused_too_early_is_kept_as_it_could_be_processed(self) -> None:
        (forward,) = session("").receive(b'[2,"s","StartTransaction",' + START + b"]", NOW)
        assert isinstance(forward, Forward)
        assert (forward.judged.suggested, forward.judged.repaired) == ((), START)

    def test_what_is_no_json_does_not_end_the_connection_where_a_quirk_explains_it(self) -> None:
        sample = b'{"timestamp":"2026-01-01T00:00:00Z","sampledValue":[{"value":"1"}]}'
        payload = b'{"connectorId":1,"transactionId":,"meterValue":[' + sample + b"]}"
        tolerant = session("Accepted", MISSING_VALUES)
        for number in range(rpc.MAX_UNREADABLE_IN_A_ROW + 1):
            (forward,) = tolerant.receive(b'[2,"%d","MeterValues",%b]' % (number, payload), NOW)
            assert isinstance(forward, Forward)
            assert (forward.flaw, forward.judged.original) == (None, payload)
            assert forward.judged.notes == ("missing_values: transactionId has no value",)
            tolerant.answered(answer(), NOW)

    def test_an_answer_is_repaired(self) -> None:
        tolerant = session("Accepted", NUMBERS_FOR_STRINGS)
        tolerant.command(command("c", action="GetConfiguration"), NOW)
        frame = b'[3,"c",{"configurationKey":[{"key":"A","readonly":false,"value":1}]}]'
        note, outcome = tolerant.receive(frame, NOW)
        assert isinstance(note, Note)
        assert (note.frame, bool(note.note)) == (frame, True)
        assert isinstance(outcome, CommandOutcome)
        assert outcome.status == "result"
        assert b'"value":"1"' in outcome.payload


class TestZombieLink:
    """It talks, and hears nothing: commands time out while its own CALLs arrive."""

    @staticmethod
    def unanswered(one: Session, *, talks: bool, times: int = rpc.MOST_UNANSWERED) -> list[rpc.Effect]:
        effects: list[rpc.Effect] = []
        for number in range(times):
            one.command(command(str(number)), NOW)
            if talks:
                one.receive(HEARTBEAT, NOW + 10)
            effects += one.tick(NOW + 31)
        return effects

    def test_closed_with_the_quirk(self) -> None:
        effects = self.unanswered(session("Accepted", ZOMBIE_LINK), talks=True)
        assert Close(1013, "commands go unanswered") in effects

    def test_suggested_without_it(self) -> None:
        effects = self.unanswered(session(), talks=True)
        assert Seen((ZOMBIE_LINK,)) in effects
        assert not any(isinstance(effect, Close) for effect in effects)

    def test_a_silent_link_is_for_the_pings(self) -> None:
        effects = self.unanswered(session("Accepted", ZOMBIE_LINK), talks=False, times=5)
        assert not any(isinstance(effect, Close | Seen) for effect in effects)

    def test_any_answer_shows_that_it_hears(self) -> None:
        one = session("Accepted", ZOMBIE_LINK)
        for number in range(6):
            effects = self.unanswered(one, talks=True, times=1)
            assert not any(isinstance(effect, Close) for effect in effects), number
            one.receive(b'[4,"-1","NotImplemented","",{}]', NOW)
