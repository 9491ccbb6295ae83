"""A whole client is sent spoilt frames; ``python -m tests.fuzz live`` sends a million.

``FUZZ_SEED`` repeats a run, ``FUZZ_FRAMES`` says how many frames.
"""

from __future__ import annotations

import os
import random

import pytest

from lunora_rx.core.results import Change, Result
from lunora_rx.core.shapes import Shapes
from tests.fuzz import live
from tests.fuzz.live import play

SEED = os.environ.get("FUZZ_SEED") or str(random.randrange(2**32))
FRAMES = int(os.environ.get("FUZZ_FRAMES", "5000"))


@pytest.mark.timeout(120 + FRAMES / 500)
def test_spoilt_frames_harm_nobody_else():
    """Healthy queries show what they were given, nothing is logged as an error, and nothing is left behind."""
    told = play(FRAMES, seed=SEED)
    assert not told.problems, f"repeat it with FUZZ_SEED={SEED} FUZZ_FRAMES={FRAMES}\n{told.render()}"
    assert told.counts["values of healthy queries"] > 5
    assert told.counts["frames ignored"] > FRAMES / 20


def test_client_that_breaks_off_on_a_frame_is_found(monkeypatch):
    """The harness sees an exception that escapes from a frame."""
    apply_value = Result.apply_value

    def broken(self, frame, *, tagged):
        if frame.get("data") == "text":
            raise ZeroDivisionError
        return apply_value(self, frame, tagged=tagged)

    monkeypatch.setattr(Result, "apply_value", broken)
    told = play(1_000, seed="1")
    assert any("ZeroDivisionError" in problem for problem in told.problems), told.render()


def test_client_that_leaves_a_value_out_is_found(monkeypatch):
    """What the server told on one socket is missed, although later values come."""
    apply_value = Result.apply_value

    def broken(self, frame, *, tagged):
        left_out = frame.get("epoch") == "e1" and frame.get("cursor", 0) % 5 == 4
        return Change.NOTHING if left_out else apply_value(self, frame, tagged=tagged)

    monkeypatch.setattr(Result, "apply_value", broken)
    monkeypatch.setattr(Result, "take_plain", lambda self, frame: False)
    monkeypatch.setattr(live, "PATIENCE", 1.0)
    told = play(3_000, seed="1")
    assert any("5] after 3, " in problem for problem in told.problems), told.render()


def test_client_whose_victims_never_recover_is_found(monkeypatch):
    """What was harmed must show what it is given once the storm is over."""
    monkeypatch.setattr(Shapes, "frames_on_open", lambda core: [])
    monkeypatch.setattr(live, "PATIENCE", 1.0)
    told = play(1_000, seed="1")
    assert any("the client is stuck" in problem for problem in told.problems), told.render()
