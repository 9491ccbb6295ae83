"""A Worker to be left alone until it hibernates, and to be evicted."""

from __future__ import annotations

import pytest

from tests.workerd.runtime import Workerd


@pytest.fixture
async def worker(tmp_path_factory):
    """The reference Worker."""
    async with Workerd(tmp_path_factory.mktemp("disk")) as worker:
        yield worker
