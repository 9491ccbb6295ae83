"""The thread with the loop: its beginning, its end, and what is asked of it in between and afterwards."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lunora_rx.blocking.loop_thread import LoopThread


class Life:
    """What begins and ends on the loop."""

    def __init__(self, *, begin_error=None, end_error=None):
        self.told = []
        self._errors = {"begin": begin_error, "end": end_error}

    async def begin(self):
        """Begin, or fail."""
        self._tell("begin")

    async def end(self):
        """End, or fail."""
        await asyncio.sleep(0)
        self._tell("end")

    def _tell(self, what):
        self.told.append((what, threading.current_thread().name))
        if self._errors[what] is not None:
            raise self._errors[what]


def test_thread_begins_with_the_first_use_and_ends_once(no_threads_left):
    """What begins comes before all that is asked, what ends after it; both on the thread."""
    life = Life()
    thread = LoopThread(life.begin, life.end)
    assert life.told == []
    assert thread.call(lambda: [*life.told]) == [("begin", "lunora-blocking")]
    assert thread.call(lambda: thread.is_current) is True
    for _ in range(2):
        thread.close()
    assert life.told == [("begin", "lunora-blocking"), ("end", "lunora-blocking")]


def test_thread_that_was_never_used_only_ends(no_threads_left):
    """Nothing is begun in order to end it."""
    life = Life()
    LoopThread(life.begin, life.end).close()
    assert [what for what, _ in life.told] == ["end"]


def test_thread_that_is_over_lets_the_caller_do_it(no_threads_left):
    """There is nobody left whom it could disturb."""
    life = Life()
    thread = LoopThread(life.begin, life.end)
    thread.close()
    assert thread.call(threading.current_thread) is threading.current_thread()


def test_thread_that_cannot_begin_says_so_at_every_use(no_threads_left):
    """Nobody waits for ever."""
    life = Life(begin_error=OSError("no disk"))
    thread = LoopThread(life.begin, life.end)
    for _ in range(2):
        with pytest.raises(OSError, match="no disk"):
            thread.call(int)


def test_thread_whose_end_fails_ends_and_says_so(no_threads_left):
    """Whoever closes it is told."""
    life = Life(end_error=OSError("no disk"))
    thread = LoopThread(life.begin, life.end)
    thread.call(int)
    with pytest.raises(OSError, match="no disk"):
        thread.close()


def test_thread_outlives_a_callback_that_means_to_end_the_program(no_threads_left, caplog):
    """``sys.exit`` in a callback would leave all others waiting."""
    life = Life()
    thread = LoopThread(life.begin, life.end)

    def leave():
        raise SystemExit(3)

    thread.post(leave)
    assert thread.call(lambda: 5) == 5
    assert "a callback raised SystemExit" in caplog.text
    with pytest.raises(SystemExit):
        thread.call(leave)
    thread.close()


def test_thread_runs_what_was_posted_before_its_end(no_threads_left):
    """Whoever was let in is answered."""
    for _ in range(20):
        life, done = Life(), []
        thread = LoopThread(life.begin, life.end)
        thread.call(int)

        def post(done=done, thread=thread):
            for number in range(200):
                thread.call(lambda number=number: done.append(number))

        posting = threading.Thread(target=post)
        posting.start()
        thread.close()
        posting.join(10)
        assert done == list(range(200))
