"""`alembic check` on a throw-away database: fails where `api/schema.py` and the migrations disagree."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from standalone.databases import alembic, create_database
from standalone.servers import start_postgres


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="voltuj-check-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - root's PostgreSQL runs as another user
        server = start_postgres(Path(folder) / "postgres")
        try:
            urls = asyncio.run(create_database(server.url, "voltuj", "check"))
            for arguments in (("upgrade", "head"), ("check",)):
                result = alembic(urls, *arguments)
                if result.returncode != 0:
                    print(f"alembic {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}", file=sys.stderr)
                    return 1
        finally:
            server.stop()
    print("alembic check: the migrations and api/schema.py agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
