"""Account numbers of banks: IBANs by their check digits, and the Czech form of a Czech one. Pure.

Nothing here knows whose account it is. ISO 13616; ISO 7064 MOD 97-10.
"""

import re
from typing import Final

_SHAPE: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
_CZECH: Final = re.compile(r"CZ\d{2}(\d{4})(\d{6})(\d{10})")


def parse_iban(text: str) -> str:
    """An IBAN as people write it, in its electronic form: capitals and digits without spaces.

    Raises:
        ValueError: it has not the shape of an IBAN, or its check digits are wrong.
    """
    iban = "".join(text.split()).upper()
    if not iban.isascii() or not _SHAPE.fullmatch(iban) or (iban.startswith("CZ") and not _CZECH.fullmatch(iban)):
        raise ValueError("this is not an IBAN")
    digits = "".join(str(int(character, 36)) for character in iban[4:] + iban[:4])
    if int(digits) % 97 != 1:
        raise ValueError("the check digits of this IBAN are wrong")
    return iban


def czech_account(iban: str) -> str | None:
    """A Czech IBAN as `[PREFIX-]NUMBER/BANK`, which Czech banks ask for; None for those of other countries."""
    found = _CZECH.fullmatch(iban)
    if found is None:
        return None
    bank, prefix, number = found[1], int(found[2]), int(found[3])
    return f"{prefix}-{number}/{bank}" if prefix else f"{number}/{bank}"
