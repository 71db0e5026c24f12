"""Files on disk, under their id in FILES_DIR: written as a stream, whole or not at all. Knows no database."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from api.errors import TooLarge


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written."""

    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class FileStore:
    """One folder, shared by every process of the HTTP service."""

    folder: Path
    largest_bytes: int

    def path(self, file_id: UUID) -> Path:
        """Where the content of a file lies."""
        return self.folder / str(file_id)

    async def write(self, file_id: UUID, chunks: AsyncIterator[bytes]) -> Stored:
        """Writes a file; one that breaks off or is too large leaves nothing behind.

        Raises:
            TooLarge: it is above the limit.
        """
        part, size, digest = self.path(file_id).with_suffix(".part"), 0, hashlib.sha256()
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        handle = await asyncio.to_thread(part.open, "wb")
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > self.largest_bytes:
                    raise TooLarge(f"The file is larger than {self.largest_bytes} bytes.")
                digest.update(chunk)
                await asyncio.to_thread(handle.write, chunk)
            await asyncio.to_thread(handle.close)
            await asyncio.to_thread(part.replace, self.path(file_id))
        except BaseException:
            handle.close()
            part.unlink(missing_ok=True)
            raise
        return Stored(size, digest.digest())

    async def remove(self, file_id: UUID) -> None:
        """Removes the content, where it is there."""
        await asyncio.to_thread(self.path(file_id).unlink, missing_ok=True)
