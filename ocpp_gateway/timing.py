"""Durations that the protocol and the design fix, in seconds, as one value that is passed in. No clock is read here.

They are no settings: only tests shorten them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, each with its reason."""

    handshake_s: float = 10.0
    """From the TCP connection to the end of the WebSocket handshake."""
    connect_deadline_s: float = 8.0
    """How long a handshake waits for the api; below `handshake_s`, so that the charge point gets its 503."""
    close_s: float = 5.0
    """How long the closing handshake may take before the socket is cut."""
    attempt_s: float = 3.0
    """A listener that has not answered by then has missed its attempt (DESIGN 3)."""
    avoid_s: float = 10.0
    """How long a listener that missed an attempt gets nothing new (DESIGN 3)."""
    call_deadline_s: float = 15.0
    """After it the charge point is sent away with 1013, to queue and come back (DESIGN 2.3)."""
    command_s: float = 30.0
    """How long a charge point may take to answer our CALL."""
    membership_s: float = 1.0
    """How often the list of listeners is read from Redis."""
    membership_empty_s: float = 0.25
    """The same while no listener is known."""
    registry_ttl_s: float = 15.0
    registry_refresh_s: float = 5.0
    log_flush_s: float = 0.5
    """The longest that a frame for the message log waits for company."""
    drain_s: float = 5.0
    """How long a stopping gateway waits for the CALLs that are with the api."""
    tick_s: float = 0.1
    """The grain of attempts and deadlines."""
    silence_pings: float = 2.5
    """A link is silent after this many ping (or heartbeat) intervals without a byte; never at one exactly."""
