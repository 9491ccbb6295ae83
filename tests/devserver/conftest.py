"""A backend in memory for the tests of the embedded server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lunora_rx.devserver import Backend
from tests.devserver.peer import new_backend


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A chat server in memory."""
    backend = new_backend()
    yield backend
    backend.close()
