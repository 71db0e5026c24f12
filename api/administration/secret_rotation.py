"""A new JWT_SECRET beside the one before, as lines of an `.env` file. Nothing else is ever changed in the file."""

import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Final

NAME: Final = "JWT_SECRET"
PREVIOUS: Final = "JWT_SECRET_PREVIOUS"
RANDOM_BYTES: Final = 32


class RotationError(Exception):
    """The secret was not rotated; the message says why."""


def new_secret() -> str:
    """256 random bits in hexadecimal, which `.env` and preflight take."""
    return secrets.token_hex(RANDOM_BYTES)


def rotate(text: str, fresh: str, *, leaked: bool) -> str:
    """The text of an `.env` with a new secret; the old one is kept beside it unless it has leaked. Pure.

    Raises:
        RotationError: there is no JWT_SECRET in it.
    """
    found = re.findall(rf"(?m)^{NAME}=(.*)$", text)
    if not found or not found[-1].strip():
        raise RotationError(f"there is no {NAME}= in it")
    previous = "" if leaked else found[-1].strip()
    without = re.sub(rf"(?m)^{PREVIOUS}=.*\n?", "", text)
    return re.sub(rf"(?m)^{NAME}=.*$", lambda _: f"{NAME}={fresh}\n{PREVIOUS}={previous}", without)


def rotate_file(path: Path, *, leaked: bool) -> None:
    """The same in a file, at once or not at all, with its mode and owner.

    Raises:
        RotationError: the file cannot be read or written, or has no JWT_SECRET.
    """
    try:
        before = path.stat()
        text = rotate(path.read_text(), new_secret(), leaked=leaked)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".env-", delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside = Path(file.name)
        beside.chmod(before.st_mode & 0o777)
        if (beside.stat().st_uid, beside.stat().st_gid) != (before.st_uid, before.st_gid):
            os.chown(beside, before.st_uid, before.st_gid)
        beside.replace(path)
    except (OSError, RotationError) as error:
        raise RotationError(f"{path}: {error}") from None
