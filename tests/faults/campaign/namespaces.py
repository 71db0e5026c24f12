"""A network of its own for a process under test, with one cable to ours that can be pulled. Root on Linux only.

The network lasts as long as somebody is in it, and the cable as long as the network: nothing is left behind.
"""

import os
import secrets
import shutil
import subprocess
from ipaddress import IPv4Address
from typing import Final, Self

FIRST_ADDRESS: Final = int(IPv4Address("198.18.0.0"))
"""198.18.0.0/15 is for tests of networks (RFC 2544)."""
PAIRS: Final = 1 << 16
TOOLS: Final = ("unshare", "nsenter", "ip")
HOLD: Final = "ip link set lo up && echo ready && exec cat"
"""Stays in the network until its standard input ends, as it does when we do."""


class NoNamespaceError(Exception):
    """This machine lets us make none; the message is what it said."""


class Cable:
    """The way between our network (address `here`) and that of a process (address `there`)."""

    def __init__(self) -> None:
        pair, self._card = secrets.randbelow(PAIRS), f"vj{secrets.token_hex(5)}"
        self.here, self.there = (str(IPv4Address(FIRST_ADDRESS + 2 * pair + end)) for end in (0, 1))
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    @property
    def inside(self) -> list[str]:
        """What a command begins with to run in the network."""
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net"]

    def __enter__(self) -> Self:
        try:
            assert self._holder.stdout is not None
            if self._holder.stdout.readline() != b"ready\n":
                raise NoNamespaceError("unshare --net was refused")
            _run("ip", "link", "add", self._card, "type", "veth", "peer", "name", "eth0", "netns",
                 str(self._holder.pid))  # fmt: skip
            _run("ip", "address", "add", f"{self.here}/31", "dev", self._card)
            _run(*self.inside, "ip", "address", "add", f"{self.there}/31", "dev", "eth0")
            _run(*self.inside, "ip", "link", "set", "eth0", "up")
            self.plug()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate()

    def pull(self) -> None:
        """Nothing passes any more, and nobody is told."""
        _run("ip", "link", "set", self._card, "down")

    def plug(self) -> None:
        """What is sent from now on arrives."""
        _run("ip", "link", "set", self._card, "up")


def are_possible() -> bool:
    """Whether this machine lets us make networks."""
    if os.geteuid() != 0 or any(shutil.which(tool) is None for tool in TOOLS):
        return False
    try:
        with Cable():
            return True
    except NoNamespaceError:
        return False


def _run(*command: str) -> None:
    """Raises NoNamespaceError where the command fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNamespaceError(f"{' '.join(command)}: {done.stderr.strip()}")
