"""Writers killed at random points: what was acknowledged is there, whole and in order.

``LUNORA_RX_KILLS`` says how many are killed, 200 for the long run; ``LUNORA_RX_SEED`` repeats a run that failed as far
as chance goes.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lunora_rx.storage import open_directory
from tests.faults.table import counted
from tests.storage.disk import damaged, ids, opened

KILLS = int(os.environ.get("LUNORA_RX_KILLS", "20"))

# Appends a growing number of records at a time through the worker and says which are stored; removes the oldest.
_WRITER = """
import itertools, os, random, sys, threading
from lunora_rx.storage import StorageWorker, open_directory
from lunora_rx.testing import a_queued_mutation

directory, first, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
def say(text):
    os.write(1, (text + "\\n").encode())
def report(error):
    say(f"R {error}")
worker = StorageWorker(open_directory(directory, report=report), deliver=lambda call, *args: call(*args))
loaded = threading.Event()
def on_loaded(records, error):
    say(f"L {error or ' '.join(record.mutation_id for record in records)}")
    loaded.set()
worker.submit(worker.queue.load, on_loaded)
loaded.wait()
room = threading.Semaphore(50)
def stored(name, error):
    say(f"A {name}" if error is None else f"E {error}")
    room.release()
def removed(name, error):
    if error is None:
        say(f"D {name}")
for number in itertools.count(first):
    room.acquire()
    name = f"m{number:08d}"
    worker.submit_write(
        lambda name=name: worker.queue.append(a_queued_mutation(name, args={"text": name * chance.randrange(1, 400)})),
        lambda _, error, name=name: stored(name, error),
    )
    say(f"C {name}")
    if number % 3 == 0 and number > first:
        gone = f"m{number - 1:08d}"
        say(f"G {gone}")
        worker.submit_write(
            lambda gone=gone: worker.queue.remove([gone]),
            lambda _, error, gone=gone: removed(gone, error),
        )
"""


class History:
    """What the writers have said, over all their lives."""

    def __init__(self) -> None:
        self.composed: list[str] = []
        self.acknowledged: set[str] = set()
        self.removing: set[str] = set()
        self.removed: set[str] = set()
        self.complaints: list[str] = []

    def read(self, output: str) -> None:
        lines = output.split("\n")[:-1]  # the last line may be torn
        targets = {"C": self.composed.append, "A": self.acknowledged.add, "G": self.removing.add, "D": self.removed.add}
        for line in lines:
            kind, _, rest = line.partition(" ")
            if kind in targets:
                targets[kind](rest)
            elif kind in ("E", "R"):
                self.complaints.append(line)

    def check(self, found: list[str]) -> None:
        assert self.complaints == []
        assert found == sorted(set(found)), "order or doubles"
        assert set(found) <= set(self.composed), "from nowhere"
        lost = self.acknowledged - self.removing - set(found)
        assert not lost, f"acknowledged and lost: {sorted(lost)[:5]}"
        assert not self.removed & set(found), "removed and back"


@pytest.mark.fault(34, 36, 49)
@pytest.mark.timeout(60 + 10 * KILLS)
def test_killed_writers_lose_nothing_they_acknowledged(tmp_path: Path, record_property):
    """Killed at random moments, opening included: each next process finds it all."""
    seed = int(os.environ.get("LUNORA_RX_SEED", "") or random.randrange(2**32))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    chance = random.Random(seed)
    history = History()
    for life in range(KILLS):
        output = run_and_kill(tmp_path, first=len(history.composed) + life, seed=life, after=chance.uniform(0, 0.35))
        history.read(output)
        if life % 4 == 0 or life == KILLS - 1:
            with opened(tmp_path) as queue:
                found = ids(queue)
                history.check(found)
                queue.remove(found)  # keep the runs alike
                history.removing.update(found)
                history.removed.update(found)
    record_property(counted("storage alone: writers killed"), KILLS)
    record_property(counted("storage alone: acknowledged"), len(history.acknowledged))
    assert len(history.acknowledged) > KILLS, f"seed {seed}: the writers never came to write"
    assert damaged(tmp_path) == []


def run_and_kill(directory: Path, *, first: int, seed: int, after: float) -> str:
    """Let a writer live for a moment after its interpreter is up, and return what it said."""
    command = [sys.executable, "-c", _WRITER, str(directory), str(first), str(seed)]
    log = directory.parent / f"{directory.name}.log"
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdout=file)
        wait_for_start(process, directory)
        time.sleep(after)
        process.kill()
        process.wait()
    return log.read_text()


def wait_for_start(process: subprocess.Popen[bytes], directory: Path) -> None:
    """Wait until the process has begun to open the storage: it holds a lock there."""
    fds = Path(f"/proc/{process.pid}/fd")
    if not fds.exists():
        pytest.skip("this system has no /proc to watch a process by")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if any(os.readlink(fd).startswith(f"{directory}/") for fd in fds.iterdir()):
                return
        except OSError:
            continue
    raise AssertionError("the writer never opened its storage")


_ERASER = """
import os, signal, sys
from lunora_rx.storage import open_directory
from lunora_rx.testing import a_queued_mutation

directory, left = sys.argv[1], int(sys.argv[2])
one, two = open_directory(directory).queue, open_directory(directory).queue
one.append(a_queued_mutation("m1"))
two.append(a_queued_mutation("m2"))
one.close()
two.adopt()
def struck(real):
    def call(*args, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*args, **options)
    return call
for name in ("unlink", "rmdir", "rename"):
    setattr(os, name, struck(getattr(os, name)))
two.remove(["m1"])
"""


@pytest.mark.fault(36)
@pytest.mark.parametrize("step", range(7))
def test_process_killed_while_it_deletes_an_emptied_lane_leaves_no_damage(tmp_path, step):
    """Whatever file it had come to: what is left of the lane is taken for neither damage nor loss."""
    killed = subprocess.run([sys.executable, "-c", _ERASER, str(tmp_path), str(step)], check=False)
    assert killed.returncode == -9
    reports = []
    queue = open_directory(tmp_path, report=reports.append).queue
    assert ([record.mutation_id for record in queue.load()], reports) == (["m2"], [])
    queue.close()
