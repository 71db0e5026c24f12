"""Why a session waits for a person: the stable words in `transactions.held_reasons`, beside those of plausibility."""

from collections.abc import Iterable
from typing import Final

NEVER_STOPPED: Final = "never_stopped"
"""Another Start came on its connector while it was open."""
SECOND_START: Final = "second_start"
"""It started on a connector on which another transaction was open."""
POSSIBLE_REPLAY: Final = "possible_replay"
"""Its Start equals an earlier one, from a charge point whose clock had been reset and which has booted since."""
DIFFERING_STOP: Final = "differing_stop"
"""It was stopped twice, differently."""
UNPROCESSED: Final = "unprocessed"
"""A message of it could not be processed and lies in `unprocessed`."""
REFUSED: Final = "refused"
"""A message of it had to be refused and lies in `unprocessed`."""
ID_TAG_NOT_ACCEPTED: Final = "id_tag_not_accepted"
"""Energy flowed for an idTag that was refused: there is nobody to bill."""
TARIFF_UNREADABLE: Final = "tariff_unreadable"
"""Its frozen tariff cannot be rated by this version."""
NOT_BILLABLE: Final = "not_billable"
"""It is rated, but has nobody to bill, or a record that does not add up."""


def with_reasons(held: Iterable[str], new: Iterable[str]) -> list[str]:
    """Both, in order of their first appearance, each once."""
    return list(dict.fromkeys((*held, *new)))
