"""What the core tells the driver."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from lunora_rx.core.events import Event, FrameIgnored, ValueChanged

KINDS = get_args(Event)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_event_cannot_be_changed(kind):
    """An event may be handed to several: it is a frozen value with no dict of its own."""
    event = kind(*range(len(kind.__annotations__)))
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        setattr(event, next(iter(kind.__annotations__), "any"), "other")
    assert not hasattr(event, "__dict__") or not event.__dict__


def test_events_of_one_content_are_equal():
    """Tests compare them."""
    assert ValueChanged("k", [], 1, 0) == ValueChanged("k", [], 1, 0)
    assert FrameIgnored("", "x") == FrameIgnored("", "x")
