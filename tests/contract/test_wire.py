"""Golden frames: what an earlier release put on the wire is read by this one, and what this one puts there is the same.

`wire_v1.json` is never rewritten; a release that adds fields or types adds entries. `message` is the frame in words,
its bytes in base64; `batch` is one PUBLISH payload in hex.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import VERSION, Message, Superseded, WireError, decode, encode

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "wire_v1.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN, ids=[golden["name"] for golden in GOLDEN])
def test_golden_frame(golden: dict[str, Any]) -> None:
    message: Message = msgspec.convert(golden["message"], Message)
    assert decode(bytes.fromhex(golden["batch"])) == [message]
    assert encode([message]).hex() == golden["batch"]


def test_every_type_has_a_golden_frame() -> None:
    tags = {msgspec.inspect.type_info(kind).tag for kind in get_args(Message)}  # type: ignore[attr-defined]
    assert {golden["message"]["type"] for golden in GOLDEN} == tags


def test_a_batch_keeps_its_order() -> None:
    messages = [message for golden in GOLDEN for message in decode(bytes.fromhex(golden["batch"]))]
    assert decode(encode(messages)) == messages


def test_a_type_of_a_newer_release_is_left_out_of_its_batch() -> None:
    known = Superseded("cp", 1)
    newer = {"type": "of a newer release", "anything": [1, 2]}
    batch = msgspec.msgpack.encode((VERSION, [msgspec.to_builtins(known), newer, msgspec.to_builtins(known)]))
    assert decode(batch) == [known, known]


def test_a_field_of_a_newer_release_is_left_out_of_its_message() -> None:
    newer = msgspec.to_builtins(Superseded("cp", 1)) | {"added": True}
    assert decode(msgspec.msgpack.encode((VERSION, [newer]))) == [Superseded("cp", 1)]


@pytest.mark.parametrize("data", [b"", b"\xff", b"{}", msgspec.msgpack.encode((VERSION + 1, [])), encode([])[:-1]])
def test_what_is_no_batch(data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(WireError):
        assert isinstance(decode(data), list)
