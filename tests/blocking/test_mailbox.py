"""Values that wait between threads: in order, bounded or conflated, and none lost with its wake-up."""

from __future__ import annotations

import threading

import pytest

from lunora_rx import StreamError
from lunora_rx.blocking.mailbox import Mailbox
from lunora_rx.rx.stream import MAX_BUFFER_SIZE
from tests.blocking.conftest import until


def taken(mailbox):
    """Return all values up to the end."""
    values = []
    while True:
        try:
            values.append(mailbox.take(10))
        except StopIteration:
            return values


def test_mailbox_gives_values_in_order_and_then_the_end():
    """What came before the end is taken, what comes after it is not."""
    mailbox = Mailbox(10, conflate=False)
    for value in (1, 2):
        mailbox.put(value)
    mailbox.finish()
    mailbox.put(3)
    mailbox.finish(OSError())
    assert (taken(mailbox), taken(mailbox)) == ([1, 2], [])


def test_mailbox_that_conflates_keeps_the_newest():
    """A slow taker gets the newest value only."""
    mailbox = Mailbox(10, conflate=True)
    for value in range(100):
        mailbox.put(value)
    assert mailbox.take() == 99
    with pytest.raises(TimeoutError):
        mailbox.take(0.001)


def test_mailbox_that_overflows_ends_and_says_so_once():
    """What waited is dropped, who fills it is told, and the error comes once."""
    told = []
    mailbox = Mailbox(2, conflate=False, on_overflow=lambda: told.append(True))
    for value in range(5):
        mailbox.put(value)
    with pytest.raises(StreamError, match="STREAM_BACKPRESSURE"):
        mailbox.take()
    assert (taken(mailbox), told) == ([], [True])


def test_mailbox_that_holds_too_much_ends_and_says_so_once():
    """However few values: several are too many by their size, one alone is not, and what was taken counts no more."""
    told, size = [], MAX_BUFFER_SIZE
    mailbox = Mailbox(10, conflate=False, on_overflow=lambda: told.append(True), weigh=lambda: size)
    for value in range(3):
        mailbox.put(value)
        assert mailbox.take() == value
    size = MAX_BUFFER_SIZE // 2
    for value in range(2):
        mailbox.put(value)
    assert told == []
    mailbox.put(2)
    with pytest.raises(StreamError, match="67108864 characters behind"):
        mailbox.take()
    assert (taken(mailbox), told) == ([], [True])


def test_mailbox_that_conflates_holds_one_of_any_size():
    """What is replaced does not wait."""
    mailbox = Mailbox(10, conflate=True, weigh=lambda: MAX_BUFFER_SIZE)
    for value in range(3):
        mailbox.put(value)
    assert mailbox.take() == 2


def test_mailbox_gives_the_error_after_the_values():
    """A failure loses nothing that came before it."""
    mailbox = Mailbox(10, conflate=False)
    mailbox.put(1)
    mailbox.finish(OSError("broken"))
    assert mailbox.take() == 1
    with pytest.raises(OSError, match="broken"):
        mailbox.take()


def test_mailbox_wakes_a_taker_for_each_value():
    """Whoever waits already is woken, one for each value."""
    mailbox, values = Mailbox(10, conflate=False), []
    takers = [threading.Thread(target=lambda: values.append(mailbox.take(30)), daemon=True) for _ in range(4)]
    for thread in takers:
        thread.start()
    until(lambda: len(mailbox._news._waiters) == 4)
    for value in range(4):
        mailbox.put(value)
    for thread in takers:
        thread.join(5)
    assert sorted(values) == [0, 1, 2, 3]


def test_mailbox_loses_no_value_and_no_wake_up_between_many_threads():
    """Four threads put, four take, and every value is taken once."""
    mailbox, results = Mailbox(10**6, conflate=False), []
    takers = [threading.Thread(target=lambda: results.append(taken(mailbox))) for _ in range(4)]
    putters = [
        threading.Thread(target=lambda n=n: [mailbox.put(4 * each + n) for each in range(2000)]) for n in range(4)
    ]
    for thread in takers + putters:
        thread.start()
    for thread in putters:
        thread.join(30)
    mailbox.finish()
    for thread in takers:
        thread.join(30)
    assert sorted(value for values in results for value in values) == list(range(8000))
