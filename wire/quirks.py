"""The named quirks of charge points: how each departs from OCPP 1.6 and what is done about it. Only data lives here.

Strict is the default; a quirk counts for one charge point, once it is set. The names travel over the wire.
"""

from dataclasses import dataclass
from typing import Final, Literal

TIMESTAMP_WITHOUT_ZONE: Final = "timestamp_without_zone"
TIMESTAMP_SHORT_OFFSET: Final = "timestamp_short_offset"
RESET_CLOCK: Final = "reset_clock"
OBJECTS_FOR_LISTS: Final = "objects_for_lists"
NUMBERS_FOR_STRINGS: Final = "numbers_for_strings"
STRINGS_FOR_NUMBERS: Final = "strings_for_numbers"
DECIMAL_INTEGERS: Final = "decimal_integers"
EMPTY_OPTIONALS: Final = "empty_optionals"
LONG_STRINGS: Final = "long_strings"
LONG_ID_TAGS: Final = "long_id_tags"
UNKNOWN_ERROR_CODES: Final = "unknown_error_codes"
UNKNOWN_UNITS: Final = "unknown_units"
MISSING_VALUES: Final = "missing_values"
STATUS_BEFORE_BOOT: Final = "status_before_boot"
REPEATED_STARTS: Final = "repeated_starts"
STOP_WITHOUT_START: Final = "stop_without_start"
RESTARTING_REGISTER: Final = "restarting_register"
ZOMBIE_LINK: Final = "zombie_link"
NO_SUBPROTOCOL: Final = "no_subprotocol"


@dataclass(frozen=True, slots=True)
class Quirk:
    """What a charge point does, and what happens once the quirk is set; sentences for people."""

    name: str
    concerns: Literal["frames", "connection", "sessions"]
    seen: str
    tolerated: str


_ALL: Final = (
    Quirk(TIMESTAMP_WITHOUT_ZONE, "frames", "Times come without a zone, such as 2026-05-04T09:00:00.",
          "They are taken as UTC."),
    Quirk(TIMESTAMP_SHORT_OFFSET, "frames", "The offset of a time is short, such as +02 or +0200.",
          "It is read as +02:00."),
    Quirk(OBJECTS_FOR_LISTS, "frames", "One object comes where a list belongs, such as in meterValue.",
          "It is taken as a list of one."),
    Quirk(NUMBERS_FOR_STRINGS, "frames", "Numbers come where strings belong, such as the value of a sample.",
          "Their text is taken, digit by digit."),
    Quirk(STRINGS_FOR_NUMBERS, "frames", "Strings come where numbers belong, such as a connectorId of \"1\".",
          "The number in the string is taken."),
    Quirk(DECIMAL_INTEGERS, "frames", "Integers come with a fraction of zero, such as 12.0.",
          "The integer is taken; 12.5 is refused all the same."),
    Quirk(EMPTY_OPTIONALS, "frames", "An optional field is null, or an optional enumerated one is empty text.",
          "The field is left out."),
    Quirk(LONG_STRINGS, "frames", "Serial numbers and other texts are longer than allowed.",
          "They are cut to the length that OCPP 1.6 allows."),
    Quirk(LONG_ID_TAGS, "frames", "idTags are longer than 20 characters.",
          "The first 20 characters count; two cards that share them are one and the same."),
    Quirk(UNKNOWN_ERROR_CODES, "frames", "StatusNotification has an errorCode that OCPP 1.6 does not know.",
          "It is taken as OtherError, and the code is kept as vendorErrorCode where that is free."),
    Quirk(UNKNOWN_UNITS, "frames", "Samples have a unit that OCPP 1.6 does not know, such as Hz.",
          "They are stored as they are; no energy or power is read from such a sample."),
    Quirk(MISSING_VALUES, "frames", "A key comes without its value, such as \"transactionId\":, which is not JSON.",
          "The key is left out; the transactionId of a StopTransaction is taken as 0."),
    Quirk(STATUS_BEFORE_BOOT, "connection", "StatusNotification comes before BootNotification is accepted.",
          "It is stored and answered as any other."),
    Quirk(NO_SUBPROTOCOL, "connection", "The handshake offers no WebSocket subprotocol.",
          "It is let in; what it speaks is taken to be ocpp1.6."),
    Quirk(ZOMBIE_LINK, "connection", "Messages still arrive while our commands go unanswered again and again.",
          "After two commands in a row without an answer the connection is closed, so that it is made anew."),
    Quirk(RESET_CLOCK, "sessions", "Times lie in 1970, in year 0001 or elsewhere before 2020: the clock was reset.",
          "The time of arrival is used for the bill, and the session is not held for its times."),
    Quirk(REPEATED_STARTS, "sessions", "StartTransaction comes twice for one session, not quite the same.",
          "A second one for the same connector and idTag within ten minutes gets the answer of the first."),
    Quirk(STOP_WITHOUT_START, "sessions", "StopTransaction names a transaction that never was, such as 0.",
          "It stops the session that is open, where there is exactly one that fits."),
    Quirk(RESTARTING_REGISTER, "sessions", "The energy register starts again at 0 during a session.",
          "The energy is added up over the restart, and the session is not held for it."),
)  # fmt: skip

QUIRKS: Final = {quirk.name: quirk for quirk in _ALL}
"""Every quirk by its name."""
