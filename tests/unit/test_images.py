"""The Dockerfiles: what is installed comes from files with hashes, and what runs in production is not root."""

import re

import pytest

from standalone.databases import REPOSITORY

OURS = ("api", "ocpp_gateway", "standalone")


def commands(service: str) -> list[str]:
    """The RUN lines, with their continuations."""
    text = (REPOSITORY / service / "Dockerfile").read_text()
    return [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("RUN ")]


@pytest.mark.parametrize("service", OURS)
def test_python_packages_are_installed_by_their_hashes(service: str) -> None:
    installing = [line for line in commands(service) if re.search(r"\bpip\b.*\binstall\b", line)]
    assert installing
    assert all("--require-hashes" in line for line in installing)


@pytest.mark.parametrize("service", ["api", "ocpp_gateway", "apache"])
def test_the_last_stage_runs_as_somebody_without_rights(service: str) -> None:
    text = (REPOSITORY / service / "Dockerfile").read_text()
    last = text.rpartition("\nFROM ")[2]
    [user] = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert user not in {"root", "0"}
