"""Network namespaces: machines, cables and networks that a test makes, and that are gone when it is over.

A `Lab` holds them. Nothing in it reaches anything outside: its machines are connected by switches (bridges in a
namespace of their own) that have no way out.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest

__all__ = ["Lab", "Machine", "require_namespaces"]

_PREFIX = "tandem-test"
_FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_PACKAGES = {"ip": "iproute2", "nft": "nftables", "conntrack": "conntrack"}
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)

M = TypeVar("M", bound="Machine")


def require_namespaces() -> None:
    """Skip the test, saying why, where no namespace can be made or entered."""
    for name, package in _PACKAGES.items():
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed; apt-get install {package}")
    _sweep()
    try:
        with Lab() as lab, lab.machine("probe").inside():
            _run("nft", "list", "ruleset")
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        pytest.skip(f"network namespaces cannot be made here: {detail.strip()}")


class Machine:
    """One namespace, with a name, addresses and programs of its own."""

    def __init__(self, name: str) -> None:
        self.label = name
        self.name = f"{_PREFIX}-{os.getpid()}-{next(_numbers)}-{name}"
        _run("ip", "netns", "add", self.name)
        self._descriptor = os.open(_FOLDER / self.name, os.O_RDONLY)
        self.run("ip", "link", "set", "lo", "up")

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be in it: sockets that are made and programs that are started meanwhile belong to it, and stay there.

        Only the thread that calls is; nests.
        """
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(self._descriptor)
            try:
                yield
            finally:
                _enter(before)
        finally:
            os.close(before)

    def run(self, *command: str, text: str = "") -> str:
        """Run a program in it to its end and return what it prints; CalledProcessError if it fails."""
        with self.inside():
            return _run(*command, text=text)

    def set(self, **values: str | int) -> None:
        """Set kernel parameters of this namespace; ``net__ipv4__ip_forward=1`` for ``net.ipv4.ip_forward``."""
        with self.inside():
            for name, value in values.items():
                Path("/proc/sys", *name.split("__")).write_text(str(value))

    def remove(self) -> None:
        """End every program in it, and remove it."""
        os.close(self._descriptor)
        _remove(self.name)


class Lab:
    """Machines, and the networks between them."""

    def __init__(self) -> None:
        self._machines: list[Machine] = []
        self._switch: Machine | None = None
        self._networks: set[str] = set()
        self._cables = itertools.count(1)
        self._ports: dict[str, list[str]] = {}

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything."""
        while self._machines:
            self._machines.pop().remove()

    def machine(self, name: str) -> Machine:
        """Make a machine without any cable."""
        return self.add(Machine(name))

    def add(self, machine: M) -> M:
        """Take a machine in, to be removed with the rest."""
        self._machines.append(machine)
        return machine

    def connect(self, machine: Machine, network: str, *addresses: str, gateway: str = "", interface: str = "") -> str:
        """Put a cable from a machine to a network, which is made if it is new; return the interface's name.

        `addresses` are written with their prefix, ``192.0.2.1/24``.
        """
        switch = self._switch
        if switch is None:
            switch = self._switch = self.machine("switch")
        if network not in self._networks:
            self._networks.add(network)
            switch.run("ip", "link", "add", network, "type", "bridge")
            switch.run("ip", "link", "set", network, "up")
        number = next(self._cables)
        interface = interface or f"eth{number}"
        port = f"port{number}"
        switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", interface, "netns", machine.name)
        switch.run("ip", "link", "set", port, "master", network, "up")
        self._ports.setdefault(machine.name, []).append(port)
        machine.run("ip", "link", "set", interface, "up")
        for address in addresses:
            # Without duplicate address detection, which would keep an IPv6 address from use for a second.
            machine.run("ip", "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
        if gateway:
            machine.run("ip", *(["-6"] if ":" in gateway else []), "route", "add", "default", "via", gateway)
        return interface

    def cut(self, machine: Machine) -> None:
        """Pull the cables of a machine: what is sent to it, or from it, is gone without a word."""
        self._switch_ports(machine, "down")

    def mend(self, machine: Machine) -> None:
        """Put them in again."""
        self._switch_ports(machine, "up")

    def _switch_ports(self, machine: Machine, state: str) -> None:
        assert self._switch is not None, "there are no cables"
        for port in self._ports[machine.name]:
            self._switch.run("ip", "link", "set", port, state)


def _run(*command: str, text: str = "") -> str:
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True, timeout=20).stdout


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _remove(name: str) -> None:
    with suppress(subprocess.CalledProcessError):
        for pid in _run("ip", "netns", "pids", name).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    _run("ip", "netns", "delete", name)


def _sweep() -> None:
    """Remove what a run left that was killed before it could."""
    for path in _FOLDER.glob(f"{_PREFIX}-*"):
        found = re.fullmatch(rf"{_PREFIX}-(\d+)-.*", path.name)
        if found and not Path("/proc", found[1]).exists():
            with suppress(subprocess.CalledProcessError):
                _remove(path.name)
