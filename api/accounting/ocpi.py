"""Tariffs as the REST API speaks of them: OCPI 2.2.1 JSON with decimal strings, in and out. Pure.

Numbers come as strings, integers or Decimal, never as float; an unknown field is an error, for it would not be rated.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from functools import partial
from typing import Any, Final

from api.accounting.money import (
    HIGHEST_PRICE_E4,
    MINOR_DIGITS,
    PRICE_DIGITS,
    format_minor,
    format_price_e4,
    format_scaled,
    parse_scaled,
)
from api.accounting.tariff import (
    ALWAYS,
    DIMENSIONS,
    Element,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Tariff,
    wall_clock_to_json,
)
from api.accounting.tariff_rules import HIGHEST_VAT_BP, HIGHEST_WH, Problem, TariffError, check_tariff

KWH_DIGITS: Final = 3
VAT_DIGITS: Final = 2
HIGHEST_PRICE: Final = HIGHEST_PRICE_E4 // 10**PRICE_DIGITS
LENGTH_OF_TIME: Final = len("22:00")
LENGTH_OF_DATE: Final = len("2026-11-22")

Read = Callable[[Any, str, list[Problem]], Any]
"""Turns a JSON value into ours; it raises ValueError, or notes problems by their place and gives what it could read."""


def tariff_from_ocpi(document: object) -> Tariff:
    """The tariff that the JSON describes.

    Raises:
        TariffError: it says everything that is wrong, and where.
    """
    problems: list[Problem] = []
    fields = _object(document, "", problems, TARIFF, required=("currency", "elements"))
    if problems:
        raise TariffError(tuple(problems))
    tariff = Tariff(
        fields["currency"],
        fields["elements"],
        _limit_in_minor(fields, "min_price", problems),
        _limit_in_minor(fields, "max_price", problems),
        fields.get("idle_grace_s", 0),
        _amount_in_minor(fields, "no_show_fee", problems),
    )
    if problems:
        raise TariffError(tuple(problems))
    check_tariff(tariff)
    return tariff


def tariff_to_ocpi(tariff: Tariff) -> dict[str, Any]:
    """The tariff as JSON with decimal strings; `tariff_from_ocpi` reads it back."""
    document: dict[str, Any] = {"currency": tariff.currency, "elements": [_element_out(e) for e in tariff.elements]}
    for name, limit in (("min_price", tariff.min_price), ("max_price", tariff.max_price)):
        if limit is not None:
            document[name] = _limit_out(limit, tariff.currency)
    if tariff.idle_grace_s:
        document["idle_grace_s"] = tariff.idle_grace_s
    if tariff.no_show_fee_minor:
        document["no_show_fee"] = format_minor(tariff.no_show_fee_minor, tariff.currency)
    return document


def _element_out(element: Element) -> dict[str, Any]:
    restrictions = _restrictions_out(element.restrictions)
    components = [_component_out(component) for component in element.components]
    return {"price_components": components} | ({"restrictions": restrictions} if restrictions else {})


def _component_out(component: PriceComponent) -> dict[str, Any]:
    fields = {"type": component.type, "price": format_price_e4(component.price_e4), "step_size": component.step_size}
    return fields if component.vat_bp is None else fields | {"vat": format_scaled(component.vat_bp, VAT_DIGITS)}


def _restrictions_out(restrictions: Restrictions) -> dict[str, Any]:
    numbers = {
        "min_kwh": None if restrictions.min_wh is None else format_scaled(restrictions.min_wh, KWH_DIGITS),
        "max_kwh": None if restrictions.max_wh is None else format_scaled(restrictions.max_wh, KWH_DIGITS),
        "min_duration": restrictions.min_duration_s,
        "max_duration": restrictions.max_duration_s,
    }
    return wall_clock_to_json(restrictions) | {name: value for name, value in numbers.items() if value is not None}


def _limit_out(limit: PriceLimit, currency: str) -> dict[str, str]:
    out = {"excl_vat": format_minor(limit.excl_vat_minor, currency)}
    return out if limit.incl_vat_minor is None else out | {"incl_vat": format_minor(limit.incl_vat_minor, currency)}


def _object(
    value: object, where: str, problems: list[Problem], fields: Mapping[str, Read], required: Sequence[str] = ()
) -> dict[str, Any]:
    """What could be read of the fields of a JSON object; the rest is noted in `problems`."""
    if not isinstance(value, Mapping):
        problems.append(Problem(where or "tariff", "must be an object"))
        return {}
    path = f"{where}." if where else ""
    problems += [Problem(f"{path}{name}", "is not supported") for name in value if name not in fields]
    problems += [Problem(f"{path}{name}", "is missing") for name in required if value.get(name) is None]
    known: dict[str, Any] = {}
    for name, read in fields.items():
        if value.get(name) is not None:
            try:
                known[name] = read(value[name], f"{path}{name}", problems)
            except ValueError as error:
                problems.append(Problem(f"{path}{name}", str(error)))
    return known


def _list(read: Read, value: object, where: str, problems: list[Problem]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")
    return tuple(read(item, f"{where}[{index}]", problems) for index, item in enumerate(value))


def _day(value: object, where: str, problems: list[Problem]) -> str:
    if not isinstance(value, str):
        problems.append(Problem(where, "must be a string"))
    return str(value)


def _dimension(value: object, where: str, problems: list[Problem]) -> str:
    if value not in DIMENSIONS:
        raise ValueError(f"{value!r} is not one of {', '.join(DIMENSIONS)}")
    return str(value)


def _whole(value: object, where: str, problems: list[Problem]) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _decimal(digits: int, highest: int, value: object, where: str, problems: list[Problem]) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('must be a decimal number in a string, such as "5.50"')
    return parse_scaled(value, digits, highest)


def _time(value: object, where: str, problems: list[Problem]) -> time:
    if not isinstance(value, str) or len(value) != LENGTH_OF_TIME:
        raise ValueError(f'{value!r} is not a time such as "22:00"')
    return time.fromisoformat(value)


def _date(value: object, where: str, problems: list[Problem]) -> date:
    if not isinstance(value, str) or len(value) != LENGTH_OF_DATE:
        raise ValueError(f'{value!r} is not a date such as "2026-11-22"')
    return date.fromisoformat(value)


COMPONENT: Final[Mapping[str, Read]] = {
    "type": _dimension,
    "price": partial(_decimal, PRICE_DIGITS, HIGHEST_PRICE),
    "step_size": _whole,
    "vat": partial(_decimal, VAT_DIGITS, HIGHEST_VAT_BP // 10**VAT_DIGITS),
}


def _component(value: object, where: str, problems: list[Problem]) -> PriceComponent | None:
    fields = _object(value, where, problems, COMPONENT, required=("type", "price", "step_size"))
    if not {"type", "price", "step_size"} <= fields.keys():
        return None
    return PriceComponent(fields["type"], fields["price"], fields["step_size"], fields.get("vat"))


RESTRICTIONS: Final[Mapping[str, tuple[str, Read]]] = {
    "start_time": ("start_time", _time),
    "end_time": ("end_time", _time),
    "start_date": ("start_date", _date),
    "end_date": ("end_date", _date),
    "day_of_week": ("day_of_week", partial(_list, _day)),
    "min_kwh": ("min_wh", partial(_decimal, KWH_DIGITS, HIGHEST_WH // 10**KWH_DIGITS)),
    "max_kwh": ("max_wh", partial(_decimal, KWH_DIGITS, HIGHEST_WH // 10**KWH_DIGITS)),
    "min_duration": ("min_duration_s", _whole),
    "max_duration": ("max_duration_s", _whole),
}
"""OCPI's name, ours, and how it is read. Its restrictions by current and power are not supported."""


def _restrictions(value: object, where: str, problems: list[Problem]) -> Restrictions:
    fields = _object(value, where, problems, {name: read for name, (_, read) in RESTRICTIONS.items()})
    ours = {RESTRICTIONS[name][0]: read for name, read in fields.items()}
    return Restrictions(**ours | {"day_of_week": frozenset(ours.get("day_of_week", ()))})


ELEMENT: Final[Mapping[str, Read]] = {"price_components": partial(_list, _component), "restrictions": _restrictions}


def _element(value: object, where: str, problems: list[Problem]) -> Element:
    fields = _object(value, where, problems, ELEMENT, required=("price_components",))
    return Element(fields.get("price_components", ()), fields.get("restrictions", ALWAYS))


def _limit(value: object, where: str, problems: list[Problem]) -> dict[str, Any]:
    return _object(value, where, problems, {"excl_vat": _unread, "incl_vat": _unread}, required=("excl_vat",))


def _unread(value: object, where: str, problems: list[Problem]) -> object:
    return value


def _limit_in_minor(fields: Mapping[str, Any], name: str, problems: list[Problem]) -> PriceLimit | None:
    """How many decimals an amount may have is known once the currency is."""
    if name not in fields:
        return None
    read = partial(_decimal, MINOR_DIGITS[fields["currency"]], HIGHEST_PRICE)
    minor = _object(fields[name], name, problems, {"excl_vat": read, "incl_vat": read})
    return PriceLimit(minor.get("excl_vat", 0), minor.get("incl_vat"))


def _amount_in_minor(fields: Mapping[str, Any], name: str, problems: list[Problem]) -> int:
    read = partial(_decimal, MINOR_DIGITS[fields["currency"]], HIGHEST_PRICE)
    try:
        return int(read(fields.get(name, 0), name, problems))
    except ValueError as error:
        problems.append(Problem(name, str(error)))
        return 0


def _currency(value: object, where: str, problems: list[Problem]) -> str:
    if not isinstance(value, str) or value not in MINOR_DIGITS:
        raise ValueError(f"{value!r} is not one of {', '.join(sorted(MINOR_DIGITS))}")
    return str(value)


TARIFF: Final[Mapping[str, Read]] = {
    "currency": _currency,
    "elements": partial(_list, _element),
    "min_price": _limit,
    "max_price": _limit,
    "idle_grace_s": _whole,
    "no_show_fee": _unread,
}
