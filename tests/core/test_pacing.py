"""Who may be asked for again, and when."""

from __future__ import annotations

from math import inf

from lunora_rx.core.pacing import SLOT_TIMEOUT, Pacing


def taken(pacing: Pacing, now: float = 0.0) -> list[str]:
    """Take everything that may be sent."""
    sent = []
    while (each := pacing.next_to_send(now)) is not None:
        sent.append(each)
    return sent


def test_pacing_lets_three_out_at_a_time_in_order():
    """The fourth waits until a slot is free."""
    pacing = Pacing("abcde")
    assert taken(pacing) == ["a", "b", "c"]
    assert pacing.release("b")
    assert taken(pacing) == ["d"]
    assert not pacing.is_done


def test_slot_that_is_not_answered_is_freed_after_ten_seconds():
    """A server that ignores three queries must not hold the others up."""
    pacing = Pacing("abcd")
    taken(pacing, 5.0)
    assert pacing.deadline == 5.0 + SLOT_TIMEOUT
    pacing.handle_deadline(14.9)
    assert taken(pacing, 14.9) == []
    pacing.handle_deadline(15.0)
    assert taken(pacing, 15.0) == ["d"]


def test_release_of_one_that_waits_strikes_it_out():
    """A removed query is never sent, and held no slot."""
    pacing = Pacing("abcd")
    taken(pacing)
    assert not pacing.release("d")
    assert not pacing.release("nobody")
    assert pacing.release("a")
    assert taken(pacing) == []


def test_pacing_without_anybody_is_done():
    """It has no deadline and nothing to send."""
    pacing = Pacing()
    assert (pacing.is_done, pacing.deadline, pacing.next_to_send(0.0)) == (True, inf, None)


def test_one_that_is_added_waits_behind_the_others():
    """Order is that of asking."""
    pacing = Pacing("ab", concurrency=1)
    assert taken(pacing) == ["a"]
    pacing.add("c")
    pacing.release("a")
    assert taken(pacing) == ["b"]
    pacing.release("b")
    assert taken(pacing) == ["c"]


def test_search_has_one_suspect_at_a_time():
    """Outside a search there is none."""
    search, bulk = Pacing("ab", concurrency=1), Pacing("ab")
    assert search.suspect is None
    taken(search)
    taken(bulk)
    assert (search.is_searching, search.suspect) == (True, "a")
    assert (bulk.is_searching, bulk.suspect) == (False, None)


def test_suspect_that_is_overdue_stays_the_suspect():
    """A large value takes its time on a slow line: who was asked first is blamed first."""
    search = Pacing("ab", concurrency=1)
    taken(search)
    search.handle_deadline(SLOT_TIMEOUT)
    assert taken(search, SLOT_TIMEOUT) == ["b"]
    assert search.suspect == "a"
    search.release("b")
    assert (search.suspect, search.is_done) == ("a", False)
    assert search.release("a")
    assert (search.suspect, search.is_done) == (None, True)


def test_slot_that_is_freed_unanswered_outside_a_search_is_forgotten():
    """Nothing is kept of it."""
    pacing = Pacing("a")
    taken(pacing)
    pacing.handle_deadline(SLOT_TIMEOUT)
    assert pacing.is_done
    assert not pacing.release("a")
