"""The migrations of the database. Each is a file in `versions/`; here is only which ones the code knows, and whether it
can serve with what it finds (docs/adr/0012).
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from alembic.script import ScriptDirectory


class Standing(Enum):
    """What the revision of a database is to this code."""

    OWN = "own"
    LATER = "later"
    """None that this code knows: a newer release migrated the database, and did so for both (expand and contract)."""
    EARLIER = "earlier"
    NONE = "none"

    @property
    def serves(self) -> bool:
        """Whether this code may work with it."""
        return self in {Standing.OWN, Standing.LATER}


@dataclass(frozen=True)
class Revisions:
    """The revisions that this code's migrations consist of."""

    newest: str
    earlier: frozenset[str]

    def standing(self, found: str) -> Standing:
        """Judges the revision that a database is at; an empty one is that of a database without tables."""
        if not found:
            return Standing.NONE
        if found == self.newest:
            return Standing.OWN
        return Standing.EARLIER if found in self.earlier else Standing.LATER


def known_revisions() -> Revisions:
    """Reads the folder of this code's migrations."""
    scripts = ScriptDirectory(str(Path(__file__).parent))
    newest = scripts.get_current_head() or ""
    return Revisions(newest, frozenset(each.revision for each in scripts.walk_revisions()) - {newest})
