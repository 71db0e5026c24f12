"""How one simulated charge point charges and in which ways it misbehaves. Only data lives here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the person at the wallbox, its car and its bad luck do.

    Without `id_tags` nobody presents a card: the charge point waits for RemoteStartTransaction.
    """

    id_tags: tuple[str, ...] = ()
    power_w: int = 11_000
    duration_s: float = 60.0
    meter_interval_s: float = 10.0
    pause_s: float = 10.0
    count: int = 0
    """Sessions until `run` returns; 0 is for ever."""
    speed_up: int = 1
    """The meter counts this many times the energy that the power would give."""
    transaction_data: bool = False
    """StopTransaction carries the meter's readings at the start and the end."""

    offline_after_s: float | None = None
    """Seconds into each session at which the connection is cut without a word."""
    offline_for_s: float = 10.0
    lose_answers: float = 0.0
    """Probability that the answer to a transaction message is lost, so that the message is sent again."""
    duplicate_starts: bool = False
    power_loss: bool = False
    """The power fails in the middle of each session; StopTransaction follows after the next boot."""
    power_off_for_s: float = 2.0
    seed: int | None = None

    answer_timeout_s: float = 30.0
    reconnect_s: float = 1.0
    """First wait before a new connection; doubles up to `longest_reconnect_s`, each with jitter."""
    longest_reconnect_s: float = 60.0
    check_schemas: bool = True
    """Validate what we send and the answers; load generators turn it off, it costs more than the rest."""
