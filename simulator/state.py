"""What a charge point keeps through a power loss: registers, open transactions and its queue; in a file if it has one.

Reading and writing that file is all the I/O here.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class StateError(Exception):
    """The state file cannot be used; the message is one sentence."""


@dataclass(slots=True)
class Transaction:
    """A transaction that this charge point began and whose StopTransaction is not answered yet.

    `number` is ours and lasting; `transaction_id` comes with the answer to StartTransaction.
    """

    number: int
    connector_id: int
    id_tag: str
    started_at: str
    meter_start_wh: int
    transaction_id: int | None = None
    stop_queued: bool = False


@dataclass(slots=True)
class QueuedMessage:
    """A transaction message in the order in which it happened; `payload` has the names of the `ocpp` package."""

    action: str
    number: int
    payload: dict[str, Any]
    attempts: int = 0


@dataclass(slots=True)
class State:
    """The memory of one charge point."""

    path: Path | None = None
    registers_wh: dict[int, int] = field(default_factory=dict)
    transactions: dict[int, Transaction] = field(default_factory=dict)
    queue: list[QueuedMessage] = field(default_factory=list)
    last_number: int = 0

    def save(self) -> None:
        """Replaces the file in one step, so that a kill in the middle leaves the older one."""
        if self.path is None:
            return
        kept = asdict(self)
        del kept["path"]
        draft = self.path.with_name(self.path.name + ".new")
        draft.write_text(json.dumps(kept, separators=(",", ":")))
        draft.replace(self.path)


def load_state(path: Path | None) -> State:
    """The state in `path`, or an empty one where there is no file yet.

    Raises:
        StateError: the file or its folder cannot be read, or holds something else.
    """
    if path is None:
        return State()
    try:
        kept = json.loads(path.read_text())
        return State(
            path,
            {int(connector): int(wh) for connector, wh in kept["registers_wh"].items()},
            {int(number): Transaction(**fields) for number, fields in kept["transactions"].items()},
            [QueuedMessage(**fields) for fields in kept["queue"]],
            int(kept["last_number"]),
        )
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StateError(f"The folder of the state file {path} does not exist.") from None
        return State(path)
    except OSError as error:
        raise StateError(f"The state file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"The state file {path} is broken: move it away to start with an empty meter.") from error
