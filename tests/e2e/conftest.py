"""The server that the end-to-end tests run against: the embedded one, or with ``LUNORA_RX_SERVER=workerd`` a Worker.

A test that takes ``origin`` or ``gateway`` runs against both; one that needs what the Worker has not is marked
``embedded`` with the reason, and left out there.
"""

from __future__ import annotations

import os

import pytest

from tests.e2e.gateway import opened
from tests.e2e.offer import offered
from tests.e2e.processes import Embedded
from tests.workerd.runtime import Workerd

IS_WORKERD = os.environ.get("LUNORA_RX_SERVER", "embedded") == "workerd"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the embedded server can do, where another one runs."""
    left_out = [item for item in items if IS_WORKERD and item.get_closest_marker("embedded") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
async def origin(tmp_path_factory):
    """Where the server is."""
    if IS_WORKERD:
        async with Workerd(tmp_path_factory.mktemp("disk")) as server:
            yield server.url
    else:
        async with offered().serve() as url:
            yield url


@pytest.fixture
def disk(tmp_path_factory):
    """Where the server of ``process`` keeps its shards."""
    return tmp_path_factory.mktemp("disk")


@pytest.fixture
async def process(disk):
    """The server as a process of its own, to be killed and started again."""
    async with (Workerd if IS_WORKERD else Embedded)(disk) as server:
        yield server


@pytest.fixture
async def gateway(origin):
    """A gateway before the server."""
    async with opened(origin) as gateway:
        yield gateway
