"""The listener's Prometheus metrics, by name. Nothing here decides anything."""

from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter(
    "voltuj_listener_calls_total",
    "CALLs of charge points by action and what became of them",
    ["action", "result"],
)
called: Final = lru_cache(maxsize=1024)(CALLS.labels)
"""A child of `CALLS` by action and result: kept, since looking one up costs more than counting."""
CONNECTS = Counter("voltuj_listener_connects_total", "Handshakes by verdict", ["verdict"])
BATCH_SIZE = Histogram(
    "voltuj_listener_batch_size",
    "Messages committed together",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
)
COMMIT_SECONDS = Histogram(
    "voltuj_listener_commit_seconds",
    "From the start of a database transaction to its commit",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 10),
)
DATABASE_FAILURES = Counter("voltuj_listener_database_failures_total", "Attempts that failed for the database's sake")
FRAMES_DROPPED = Counter("voltuj_listener_frames_dropped_total", "Frames that did not reach the message log")
NOTES_DROPPED = Counter("voltuj_listener_notes_dropped_total", "Remarks of gateways for which there was no room")
LIVE_FAILURES = Counter("voltuj_listener_live_failures_total", "Live state updates that Redis did not take")
OUTCOMES_DROPPED = Counter("voltuj_listener_outcomes_dropped_total", "Answers given up because Redis was away")
SUBSCRIBED = Gauge("voltuj_listener_subscribed", "1 while gateways can reach this listener")
