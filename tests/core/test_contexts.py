"""Which context counts: the newest that is held, else the client's own."""

from __future__ import annotations

import pytest

from lunora_rx.core.contexts import Contexts
from lunora_rx.protocol.values import UNDEFINED

OWN = {"app": "demo"}


@pytest.fixture
def contexts() -> Contexts:
    """Contexts over one of the client's own."""
    return Contexts(OWN)


def test_contexts_without_a_holder_are_the_clients_own(contexts):
    """Nobody needs the socket for it; a client without one says nothing."""
    assert contexts.effective is OWN
    assert not contexts.is_needed
    assert Contexts(UNDEFINED).effective is UNDEFINED


@pytest.mark.parametrize("held", [{"page": 1}, None, 0, "", []])
def test_context_that_is_held_counts_whatever_it_is(contexts, held):
    """``None`` says something too."""
    contexts.hold(held)
    assert contexts.effective == held
    assert contexts.is_needed


def test_context_that_is_newest_counts(contexts):
    """Released, the one below counts again, down to the client's own."""
    numbers = [contexts.hold(name) for name in ("a", "b", "c")]
    seen = [contexts.effective]
    for number in reversed(numbers):
        contexts.release(number)
        seen.append(contexts.effective)
    assert seen == ["c", "b", "a", OWN]
    assert not contexts.is_needed


def test_context_that_is_released_out_of_order_leaves_the_newest(contexts):
    """What was held below it is gone when its turn comes."""
    a, b, c = (contexts.hold(name) for name in ("a", "b", "c"))
    contexts.release(b)
    assert contexts.effective == "c"
    contexts.release(c)
    assert contexts.effective == "a"
    contexts.release(a)
    assert contexts.effective is OWN


def test_context_that_is_released_twice_is_gone_once(contexts):
    """Nobody else's goes with it, also not one that is held later."""
    first = contexts.hold("a")
    contexts.release(first)
    contexts.release(first)
    second = contexts.hold("b")
    contexts.release(first)
    assert (contexts.effective, second != first) == ("b", True)


def test_context_that_two_hold_needs_both_to_be_released(contexts):
    """Equal contexts are two."""
    one, _ = contexts.hold("a"), contexts.hold("a")
    contexts.release(one)
    assert contexts.effective == "a"
