"""A release that comes after this one: this code with one more revision of the database. What it does is the test's."""

import shutil
from pathlib import Path

from api.migrations import known_revisions
from standalone.databases import REPOSITORY

NEXT = "ffffffffffff"


def next_release(folder: Path, upgrade: str, *, more: str = "") -> Path:
    """This release with one revision more, as a repository; `more` is further code of that revision."""
    folder.mkdir()
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for package in ("api", "wire"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "api/migrations/versions/next.py").write_text(revision_after(upgrade, more))
    return folder


def revision_after(upgrade: str, more: str = "", *, downgrade: str = "pass") -> str:
    """The file of a revision that comes after the newest one."""
    head = f'from alembic import op\n\nrevision = "{NEXT}"\ndown_revision = "{known_revisions().newest}"\n{more}\n'
    bodies = (("upgrade", upgrade), ("downgrade", downgrade))
    return head + "".join(f"\n\ndef {name}() -> None:\n    {body.strip()}\n" for name, body in bodies)
