"""Frames that must be refused, each with the CALLERROR that OCPP-J 1.6 wants. Read by unit and integration tests."""

from typing import NamedTuple


class BadFrame(NamedTuple):
    """`message_id` and `code` are those of the CALLERROR."""

    name: str
    frame: bytes
    message_id: str
    code: str


FORMATION = "FormationViolation"
OCCURENCE = "OccurenceConstraintViolation"
TYPE = "TypeConstraintViolation"
PROPERTY = "PropertyConstraintViolation"
START = '{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"'


def _call(name: str, action: str, payload: str, code: str) -> BadFrame:
    return BadFrame(name, f'[2,"id","{action}",{payload}]'.encode(), "id", code)


BAD_FRAMES = [
    BadFrame("empty", b"", "-1", FORMATION),
    BadFrame("no JSON", b"hello", "-1", FORMATION),
    BadFrame("object", b'{"a":1}', "-1", FORMATION),
    BadFrame("number", b"2", "-1", FORMATION),
    BadFrame("empty array", b"[]", "-1", FORMATION),
    BadFrame("array that does not end", b'[2,"id","Heartbeat",{}', "id", FORMATION),
    BadFrame("text after the array", b'[2,"id","Heartbeat",{}] x', "id", FORMATION),
    BadFrame("trailing comma", b'[2,"id","Heartbeat",{},]', "id", FORMATION),
    BadFrame("missing value", b'[2,"id","Authorize",{"idTag":,}]', "id", FORMATION),
    BadFrame("NaN", b'[2,"id","Authorize",{"idTag":NaN}]', "id", FORMATION),
    BadFrame("control character in a string", b'[2,"id","Authorize",{"idTag":"a\x00"}]', "id", FORMATION),
    BadFrame("byte order mark", b'\xef\xbb\xbf[2,"id","Heartbeat",{}]', "-1", FORMATION),
    BadFrame("not UTF-8", b'[2,"id","Authorize",{"idTag":"\xe9"}]', "id", FORMATION),
    BadFrame("nested too deeply", b'[2,"id","Heartbeat",' + b"[" * 60_000 + b"]" * 60_000 + b"]", "id", FORMATION),
    BadFrame("deep from the start", b"[" * 100_000, "-1", FORMATION),
    BadFrame("unknown message type", b'[5,"id","Heartbeat",{}]', "id", "ProtocolError"),
    BadFrame("message type as text", b'["2","id","Heartbeat",{}]', "id", "ProtocolError"),
    BadFrame("nothing but a message type", b"[2]", "-1", FORMATION),
    BadFrame("no payload", b'[2,"id","Heartbeat"]', "id", "ProtocolError"),
    BadFrame("no action", b'[2,"id"]', "id", "ProtocolError"),
    BadFrame("five elements", b'[2,"id","Heartbeat",{},{}]', "id", FORMATION),
    BadFrame("number as message id", b'[2,7,"Heartbeat",{}]', "-1", FORMATION),
    BadFrame("null as message id", b'[2,null,"Heartbeat",{}]', "-1", FORMATION),
    BadFrame("message id of 37", b'[2,"%s","Heartbeat",{}]' % (b"x" * 37), "x" * 37, FORMATION),
    BadFrame("endless message id", b'[2,"%s","Heartbeat",{}]' % (b"x" * 5000), "-1", FORMATION),
    BadFrame("number as action", b'[2,"id",7,{}]', "id", FORMATION),
    _call("unknown action", "Nonsense", "{}", "NotImplemented"),
    _call("action in another case", "heartbeat", "{}", "NotImplemented"),
    _call("action of OCPP 2.0.1", "TransactionEvent", "{}", "NotImplemented"),
    _call("action of a central system", "RemoteStartTransaction", '{"idTag":"A"}', "NotSupported"),
    _call("list as payload", "Heartbeat", "[]", FORMATION),
    _call("text as payload", "Heartbeat", '"{}"', FORMATION),
    _call("unknown field", "Heartbeat", '{"x":1}', FORMATION),
    _call("missing field", "BootNotification", '{"chargePointModel":"M"}', OCCURENCE),
    _call("null payload where fields are required", "Authorize", "null", OCCURENCE),
    _call("empty list", "MeterValues", '{"connectorId":1,"meterValue":[]}', OCCURENCE),
    _call(
        "number as text", "StatusNotification", '{"connectorId":"1","errorCode":"NoError","status":"Available"}', TYPE
    ),
    _call("null in a field", "Authorize", '{"idTag":null}', TYPE),
    _call("text as list", "MeterValues", '{"connectorId":1,"meterValue":"12"}', TYPE),
    _call("fraction for an integer", "StartTransaction", START.replace("0,", "0.5,") + "}", TYPE),
    _call("unknown status", "StatusNotification", '{"connectorId":1,"errorCode":"NoError","status":"Idle"}', PROPERTY),
    _call("idTag of 21", "Authorize", '{"idTag":"%s"}' % ("A" * 21), PROPERTY),
    _call("no dateTime", "StartTransaction", START.replace("00:00:00Z", "noon") + "}", PROPERTY),
    _call("dateTime without a zone", "StartTransaction", START.replace("00Z", "00") + "}", PROPERTY),
    _call("several flaws", "StartTransaction", '{"connectorId":"1","x":1}', FORMATION),
]
