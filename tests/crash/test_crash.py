"""Writers and servers killed at random points of compose, store, send and settle: no acknowledged write is lost.

``CRASH_KILLS`` says how many writers are killed (20; 200 for the long run), ``CRASH_SEED`` repeats a run, and
``python -m tests.crash --kills 200 --seed 7`` does the same with a table of what it came to.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.crash.harness import run
from tests.faults.table import counted

KILLS = int(os.environ.get("CRASH_KILLS", "20"))
SEED = os.environ.get("CRASH_SEED") or str(random.randrange(2**32))

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the harness follows processes by pidfd")


@pytest.mark.fault(34, 35, 36, 49)
@pytest.mark.timeout(120 + 5 * KILLS)
def test_killed_writers_and_servers_lose_double_and_reorder_nothing(tmp_path, record_property):
    """What was queued is in the table once and in the order of its lane, whoever was killed when."""
    outcome = run(tmp_path, seed=SEED, kills=KILLS)
    table = outcome.render()
    for name in ("writers killed", "servers killed", "composed", "acknowledged"):
        record_property(counted(f"crash harness: {name}"), outcome.summary()[name])
    assert not outcome.breaches, f"repeat it with CRASH_SEED={SEED} CRASH_KILLS={KILLS}\n{table}"
    assert outcome.writer_kills == KILLS, f"writers ended by themselves\n{table}"
    assert outcome.count("queued") > KILLS, f"the writers hardly came to write\n{table}"
