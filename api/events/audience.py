"""Who may read an event, given who sees its charge point now. Pure; who sees what is `api.sharing.access`'s to say.

Operators read everything. An owner reads everything of a charge point that stands; a person reads what is about them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from api.events.catalogue import Event
from api.sharing.access import Viewers

GUESTS: Final = "guests"
"""Its guests too."""
PERSON: Final = "person"
"""Whom it is about too, whether or not they are a guest still: their sessions, their grants."""
REQUESTER: Final = "requester"
"""Whom it is about too, for as long as they are a guest: their commands, their reservations."""

Seen = Mapping[UUID, Viewers]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a reader asked for; empty sets stand for all."""

    types: frozenset[str] = frozenset()
    charge_point_ids: frozenset[UUID] = frozenset()

    def takes(self, kind: str, charge_point_id: UUID | None) -> bool:
        """Whether an event of this type and charge point is wanted."""
        of_type = not self.types or kind in self.types
        return of_type and (not self.charge_point_ids or charge_point_id in self.charge_point_ids)


def readers(event: Event, seen: Seen) -> set[UUID]:
    """The users, operators aside, who may read `event`; `seen` has the viewers of its charge point."""
    viewers = seen.get(event.charge_point_id) if event.charge_point_id is not None else None
    found: set[UUID] = set()
    if viewers is not None:
        found.add(viewers.owner_id)
        if event.audience == GUESTS:
            found |= viewers.guest_ids
    if event.person_id is not None and (
        event.audience == PERSON
        or (event.audience == REQUESTER and viewers is not None and event.person_id in viewers.guest_ids)
    ):
        found.add(event.person_id)
    return found
