"""The node's network: one 10.N.0.0/16 that this machine does not use, for pods, Services and the link between them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

NUMBERS = range(101, 121)


@dataclass(frozen=True)
class Addresses:
    """Addresses of one cluster; `number` is the second part of them all."""

    number: int

    @property
    def network(self) -> str:
        return f"10.{self.number}.0.0/16"

    @property
    def pods(self) -> str:
        return f"10.{self.number}.0.0/17"

    @property
    def services(self) -> str:
        return f"10.{self.number}.128.0/18"

    @property
    def first_service(self) -> str:
        """The address of the Service `kubernetes`."""
        return f"10.{self.number}.128.1"

    @property
    def host(self) -> str:
        """The machine that runs the tests, as the node sees it."""
        return f"10.{self.number}.255.1"

    @property
    def node(self) -> str:
        """The node, its API server and its DNS."""
        return f"10.{self.number}.255.2"

    @property
    def interface(self) -> str:
        return f"pannier{self.number}"


def connect(pid: int) -> Addresses:
    """Connect this machine to the network namespace of a process by a virtual cable that vanishes with the
    namespace.
    """
    routes = _ip("-4", "route", "show", "table", "all")
    for number in NUMBERS:
        addresses = Addresses(number)
        # Creating the interface also settles a race between two that chose the same number: its name is unique.
        if f"10.{number}." not in routes and _can_add(addresses.interface, pid):
            _configure(addresses, pid)
            return addresses
    raise AssertionError("every network from 10.101.0.0/16 to 10.120.0.0/16 is in use: see `ip route`")


def _can_add(interface: str, pid: int) -> bool:
    command = ["ip", "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 or "exists" in done.stderr, f"{' '.join(command)}: {done.stderr}"
    return done.returncode == 0


def _configure(addresses: Addresses, pid: int) -> None:
    inside = ("nsenter", "--target", str(pid), "--net")
    _ip("addr", "add", f"{addresses.host}/30", "dev", addresses.interface)
    _ip("addr", "add", f"{addresses.node}/30", "dev", "eth0", within=inside)
    _ip("link", "set", addresses.interface, "up")
    _ip("link", "set", "lo", "up", within=inside)
    _ip("link", "set", "eth0", "up", within=inside)
    _ip("route", "add", "default", "via", addresses.host, within=inside)
    _ip("route", "add", addresses.network, "via", addresses.node)


def _ip(*arguments: str, within: tuple[str, ...] = ()) -> str:
    return subprocess.run([*within, "ip", *arguments], check=True, capture_output=True, text=True).stdout
