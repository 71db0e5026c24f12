"""How the api's processes write their logs: one structured line an event, to standard error. No secrets, ever."""

import contextlib
import logging
import re
import sys
from typing import Any, Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, WrappedLogger

from api.settings import Settings

CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What would begin a line of its own, or give orders to a terminal."""


class _Line:
    """What structlog writes a line to. The standard library's loggers make a record of it first, and look through the
    stack for who logs: half of what a line cost.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name

    def info(self, line: str) -> None:
        """Writes it; a log that cannot be written, as on a full disk, ends nobody's request."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")

    debug = warning = error = critical = info


def configure_logs(settings: Settings) -> None:
    """Sets up structlog, and sends the standard library's loggers the same way."""
    level = logging.getLevelName(settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    output = _output(settings)
    structlog.configure(
        processors=[*shared, *output],
        logger_factory=_Line,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *output]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn.error", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _output(settings: Settings) -> list[Any]:
    if settings.log_format == "console":
        plain = structlog.dev.plain_traceback  # no local variables: they hold secrets, and rendering them takes seconds
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        return [escape_controls, console]
    tracebacks = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    return [tracebacks, structlog.processors.JSONRenderer()]


def escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A processor: values that others may have typed stay on their line; JSON does this by itself."""
    return {key: _escaped(value) if isinstance(value, str) else value for key, value in event.items()}


def _escaped(value: str) -> str:
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
