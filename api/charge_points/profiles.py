"""What is known of charge points by vendor and model: the quirks that `profiles.toml` suggests. It sets none."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from wire.quirks import QUIRKS


@dataclass(frozen=True, slots=True)
class Profile:
    """Quirks of charge points whose BootNotification matches the patterns, and why."""

    vendor: str
    model: str
    quirks: tuple[str, ...]
    because: str

    def matches(self, vendor: str, model: str) -> bool:
        """Whether a charge point of this vendor and model is meant; case does not matter."""
        patterns = (self.vendor.lower(), self.model.lower())
        return fnmatchcase(vendor.lower(), patterns[0]) and fnmatchcase(model.lower(), patterns[1])


@cache
def profiles() -> Sequence[Profile]:
    """Every profile.

    Raises:
        ValueError: one of them names a quirk that does not exist.
    """
    document = tomllib.loads(files("api.charge_points").joinpath("profiles.toml").read_text("utf-8"))
    found = [Profile(**{**each, "quirks": tuple(each["quirks"])}) for each in document["profile"]]
    if unknown := {name for profile in found for name in profile.quirks} - set(QUIRKS):
        raise ValueError(f"profiles.toml names quirks that do not exist: {', '.join(sorted(unknown))}")
    return found


def suggested_by_profile(vendor: str | None, model: str | None) -> dict[str, str]:
    """Quirks that the profiles of a charge point suggest, each with its reason."""
    if not vendor or not model:
        return {}
    matching = (profile for profile in profiles() if profile.matches(vendor, model))
    return {quirk: profile.because for profile in matching for quirk in profile.quirks}
