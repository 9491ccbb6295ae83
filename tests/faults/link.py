"""A server at the other end of a link, in a network namespace of its own, whose cable can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from tests.faults.process import Process
from tests.faults.rows import rows_app
from tests.faults.shop import Shop

# Of the block for benchmarks between networks, which no network should use (RFC 2544).
_OURS, _THEIRS = "198.18.77.1", "198.18.77.2"


class Link:
    """What stands where a shop has its proxies: nothing but the link."""

    def __init__(self, url: str, namespace: str, device: str) -> None:
        self.url = url
        self._namespace = namespace
        self._device = device

    def pull(self) -> None:
        """Take the far end down: what is sent goes nowhere, and nobody is told."""
        _ip("-n", self._namespace, "link", "set", self._device, "down")

    def plug_in(self) -> None:
        """Take it up again."""
        _ip("-n", self._namespace, "link", "set", self._device, "up")

    async def heal(self) -> None:
        """As of a proxy."""
        self.plug_in()


@asynccontextmanager
async def opened_afar() -> AsyncIterator[tuple[Shop, Link]]:
    """A shop whose server is at the other end of a link; skips the test where there may be none."""
    with linked() as (namespace, device):
        process = Process(None, host=_THEIRS, within=("ip", "netns", "exec", namespace))
        await process.start()
        try:
            url = f"http://{_THEIRS}:{process.port}"
            link = Link(url, namespace, device)
            yield Shop(link, link, url, rows_app()), link  # type: ignore[arg-type]
        finally:
            await process.kill()


@contextmanager
def linked() -> Iterator[tuple[str, str]]:
    """A network namespace and the name of the device in it, at the other end of a device of ours."""
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not installed")
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    name = f"lx{os.getpid() % 100_000}"
    ours, theirs = f"{name}a", f"{name}b"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"cannot make a network namespace: {made.stderr.strip()}")
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        _ip("address", "add", f"{_OURS}/30", "dev", ours)
        _ip("link", "set", ours, "up")
        for words in (("address", "add", f"{_THEIRS}/30", "dev", theirs), ("link", "set", theirs, "up")):
            _ip("-n", name, *words)
        yield name, theirs
    finally:
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
