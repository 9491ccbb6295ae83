"""An app served on a thread of its own: begun, ended, and what goes wrong."""

from __future__ import annotations

import threading

import pytest

from lunora_rx.blocking import LunoraClient
from lunora_rx.devserver import App


@pytest.fixture
def app():
    """An app with one function."""
    app = App()
    app.query("a:b")(lambda ctx: 7)
    return app


def test_app_in_a_thread_answers_until_its_block_ends(app):
    """No thread is left, and it may be started again."""
    before = set(threading.enumerate())
    server = app.serve_in_thread()
    for _ in range(2):
        with server as url, LunoraClient(url) as client:
            assert client.query("a:b") == 7
            assert repr(server) == "<ServingThread running>"
        assert (set(threading.enumerate()), repr(app)) == (before, "<App functions=1 running=0>")


def test_app_in_a_thread_is_started_and_closed_without_a_block(app):
    """As in a notebook; closing twice is once, starting twice is refused."""
    server = app.serve_in_thread()
    url = server.start()
    with pytest.raises(RuntimeError, match="runs already"):
        server.start()
    with LunoraClient(url) as client:
        assert client.query("a:b") == 7
    server.close()
    server.close()


def test_app_in_a_thread_whose_port_is_taken_raises_where_it_was_started(app):
    """And leaves no thread."""
    before = set(threading.enumerate())
    with app.serve_in_thread() as url:
        other = app.serve_in_thread(port=int(url.rsplit(":", 1)[1]))
        with pytest.raises(OSError, match="address already in use"):
            other.start()
    assert set(threading.enumerate()) == before


def test_plain_with_of_serve_says_what_to_write(app):
    """The message names the form that needs no loop."""
    with pytest.raises(TypeError, match=r"with app\.serve_in_thread\(\) as url"), app.serve():
        pass
