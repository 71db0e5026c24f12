"""The migrations of the database. Each is a file in `versions/`; here is only which one the code needs."""

from pathlib import Path

from alembic.script import ScriptDirectory


def newest_revision() -> str:
    """The revision that this code's migrations end at."""
    return ScriptDirectory(str(Path(__file__).parent)).get_current_head() or ""
