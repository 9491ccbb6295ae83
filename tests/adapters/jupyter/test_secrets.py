"""Notebooks are saved and sent around: neither outputs nor widget state hold a token."""

from __future__ import annotations

import json

import pytest

from lunora_rx import LunoraClient
from lunora_rx.adapters.jupyter import show
from tests.security.canary import Eavesdropper
from tests.security.house import BEARER, SOCKET, house
from tests.support import QUICK, until


@pytest.fixture
async def client(no_tasks_left):
    options = {"auth_token": BEARER, "auth_subject": "ada", "ws_token": SOCKET, "reconnect": QUICK, "polling": None}
    async with house().serve() as url, LunoraClient(url, **options) as client:
        yield client


async def test_outputs_that_a_notebook_saves_hold_no_token(client):
    """Of everything that can be displayed, once it has a value."""
    ear, live, shape = Eavesdropper(), client.live("notes:list"), client.shape("notes")
    with live.subscribe(), shape.subscribe():
        await live.first()
        await client.mutation("notes:add", {"text": "a"})
        for each in (live, shape, client.status, client.pending, client.user):
            bundle = getattr(each, "_repr_mimebundle_", lambda each=each: (repr(each), {}))()
            ear.hear("output", json.dumps(bundle, default=repr))
        ear.hear("output", client, repr(client))
    assert ear.leaks() == set()


async def test_state_of_widgets_holds_no_token(client):
    """What is saved with the notebook, and what goes to the browser."""
    pytest.importorskip("anywidget", reason="live views need the extra jupyter")
    from ipywidgets import Widget

    ear, live = Eavesdropper(), client.live("notes:list")
    panel = show(live, fps=1000).panel()
    try:
        panel.act({"do": "enter", "view": "a"})
        await until(lambda: panel.watch.is_watching and live.snapshot.has_value)
        ear.hear("state", json.dumps(Widget.get_manager_state(), default=repr), panel.root.get_state())
    finally:
        panel.close()
    assert ear.leaks() == set()
