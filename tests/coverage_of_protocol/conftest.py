"""The scene of every test of this directory."""

from __future__ import annotations

import pytest

from lunora_rx.devserver import App
from lunora_rx.devserver.session import ServerSession
from tests.coverage_of_protocol.scene import serving
from tests.coverage_of_protocol.wire import type_of


@pytest.fixture
def heard(monkeypatch):
    """The types of the frames that servers receive."""
    heard, receive = [], ServerSession.receive_text

    def listen(self, text):
        heard.append(type_of(text))
        receive(self, text)

    monkeypatch.setattr(ServerSession, "receive_text", listen)
    return heard


@pytest.fixture
async def scene(heard, no_tasks_left):
    """A server over real sockets."""
    async with serving(App(), heard) as scene:
        yield scene
