"""Password hashing: argon2id, on threads of its own so that the event loop never waits. Nothing else knows passlib."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final, TypeVar

from fastapi import Depends, Request
from passlib.hash import argon2
from pydantic import StringConstraints

from api.errors import Invalid, Unavailable
from api.identity.password_strength import why_weak

Result = TypeVar("Result")

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB of memory, two iterations, one degree of parallelism
_HASHER: Final = argon2.using(  # type: ignore[no-untyped-call]
    type="ID", memory_cost=19 * 1024, time_cost=2, parallelism=1
)
THREADS: Final = 2
LONGEST_QUEUE: Final = 64
"""Log-ins that may wait for a thread; at 30 ms each the last one waits about a second."""


SHORTEST_PASSWORD: Final = 10
LONGEST_PASSWORD: Final = 256
OldPassword = Annotated[str, StringConstraints(max_length=LONGEST_PASSWORD, strip_whitespace=False)]
"""One that was chosen before. Whitespace belongs to it."""
Password = Annotated[OldPassword, StringConstraints(min_length=SHORTEST_PASSWORD)]
"""One that is chosen now."""


class Passwords:
    """Hashes and checks passwords on at most `THREADS` threads.

    Its coroutines raise Unavailable where `LONGEST_QUEUE` calls wait already.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(THREADS, "argon2")
        self._pending = 0
        self._nobody = _HASHER.hash(secrets.token_hex())

    async def choose(self, password: str, *about: str, field: str = "body.password") -> str:
        """A salted hash of a password that is chosen now by a person of whom others know `about`.

        Raises:
            Invalid: it is easy to guess; `field` is named.
        """
        weakness = await self._run(lambda: why_weak(password, *about))
        if weakness is not None:
            raise Invalid.field(field, weakness)
        return await self.hash(password)

    async def hash(self, password: str) -> str:
        """A new salted hash."""
        return await self._run(lambda: str(_HASHER.hash(password)))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `password` belongs to `stored`; None takes as long as a wrong password and is never right."""
        right = await self._run(lambda: bool(_HASHER.verify(password, stored or self._nobody)))
        return right and stored is not None

    def close(self) -> None:
        """Ends the threads."""
        self._executor.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._pending >= LONGEST_QUEUE:
            raise Unavailable("Too many log-ins at once. Try again in a few seconds.")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending -= 1


async def _passwords(request: Request) -> Passwords:
    passwords: Passwords = request.app.state.passwords
    return passwords


CurrentPasswords = Annotated[Passwords, Depends(_passwords)]


def needs_update(stored: str) -> bool:
    """Whether a hash was made with older parameters than today's."""
    return bool(_HASHER.needs_update(stored))
