"""The state file comes back as it was written, and says in one sentence why it cannot be used."""

from pathlib import Path

import pytest

from simulator.state import QueuedMessage, State, StateError, Transaction, load_state


def test_it_comes_back(tmp_path: Path) -> None:
    transaction = Transaction(4, 1, "A", "2026-01-01T00:00:00Z", 100, 77)
    message = QueuedMessage("MeterValues", 4, {"connector_id": 1}, 2)
    state = State(tmp_path / "state.json", {1: 120}, {4: transaction}, [message], 4)
    state.save()
    assert load_state(tmp_path / "state.json") == state


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"registers_wh": 3}', "\x00"])
def test_broken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(StateError, match="is broken"):
        load_state(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="does not exist"):
        load_state(tmp_path / "nowhere" / "state.json")
