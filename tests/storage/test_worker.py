"""One thread for the stores: order, group commit, closing, and the end of the process."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lunora_rx.errors import StorageError
from lunora_rx.storage import Storage, StorageWorker, open_directory
from lunora_rx.storage.memory_store import MemoryCache, MemoryQueue
from tests.storage.disk import Reports, ids, needs_fork, opened, record
from tests.support import until

Outcome = tuple[Any, Exception | None]


class Gated(MemoryQueue):
    """A store in memory whose transactions are counted and can be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.groups: list[int] = []
        self.fault: Exception | None = None
        self.threads: set[str] = set()
        self.closed = 0
        self._is_in_group = False

    def append(self, record):
        if self._is_in_group:
            super().append(record)
            return
        with self.group():
            super().append(record)

    @contextmanager
    def group(self) -> Iterator[None]:
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(10)
        before = len(self.load())
        self._is_in_group = True
        try:
            with super().group():
                yield
                if self.fault is not None:
                    raise self.fault
        finally:
            self._is_in_group = False
        self.groups.append(len(self.load()) - before)

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed += 1


class Outcomes:
    """Collects what the worker hands back, in order."""

    def __init__(self) -> None:
        self.list: list[tuple[str, Any, Exception | None]] = []
        self.threads: set[str] = set()

    def of(self, name: str) -> Callable[[Any, Exception | None], None]:
        def on_done(result: Any, error: Exception | None) -> None:
            self.threads.add(threading.current_thread().name)
            self.list.append((name, result, error))

        return on_done

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.list]


@pytest.fixture
def store() -> Gated:
    return Gated()


@pytest.fixture
async def worker(store: Gated) -> Any:
    worker = StorageWorker(Storage(store, MemoryCache()), deliver=asyncio.get_running_loop().call_soon_threadsafe)
    yield worker
    store.gate.set()
    assert await asyncio.to_thread(worker.close)


def enqueue(worker: StorageWorker, outcomes: Outcomes, *names: str) -> None:
    for name in names:
        worker.submit_write(lambda name=name: worker.queue.append(record(name)), outcomes.of(name))


async def test_results_come_in_order_on_the_thread_of_the_loop(worker, store):
    """Everything runs on one other thread, and its results on ours."""
    outcomes = Outcomes()
    enqueue(worker, outcomes, "m1", "m2")
    worker.submit(worker.queue.load, outcomes.of("load"))
    worker.submit(lambda: 1 / 0, outcomes.of("raises"))
    enqueue(worker, outcomes, "m3")
    await until(lambda: len(outcomes.list) == 5)
    assert outcomes.names == ["m1", "m2", "load", "raises", "m3"]
    assert outcomes.list[2][1:] == ([record("m1"), record("m2")], None)
    assert isinstance(outcomes.list[3][2], ZeroDivisionError)
    assert outcomes.threads == {threading.current_thread().name}
    assert store.threads == {"lunora-storage"}


async def test_writes_that_wait_together_are_committed_together(worker, store):
    """One transaction for all that came while the one before was on its way."""
    outcomes = Outcomes()
    store.gate.clear()
    enqueue(worker, outcomes, "m0")
    await until(lambda: store.threads)
    enqueue(worker, outcomes, *(f"m{number}" for number in range(1, 1500)))
    assert outcomes.list == []
    store.gate.set()
    await until(lambda: len(outcomes.list) == 1500)
    assert store.groups == [1, 1000, 499]


async def test_loop_runs_while_the_disk_hangs(worker, store):
    """Submitting never waits."""
    outcomes = Outcomes()
    store.gate.clear()
    enqueue(worker, outcomes, "m1")
    for _ in range(50):
        await asyncio.sleep(0)
    assert outcomes.list == []
    store.gate.set()
    await until(lambda: outcomes.list)


async def test_failed_commit_fails_every_write_of_its_group(worker, store):
    """None of them is reported as stored."""
    outcomes = Outcomes()
    store.gate.clear()
    enqueue(worker, outcomes, "m1")
    await until(lambda: store.threads)
    store.fault = OSError("no space left on device")
    enqueue(worker, outcomes, "m2", "m3")
    store.gate.set()
    await until(lambda: len(outcomes.list) == 3)
    assert all(isinstance(error, StorageError) for _, _, error in outcomes.list)
    assert not worker.queue.is_durable


async def test_refused_record_fails_alone(worker, store):
    """The others of its group are stored."""
    outcomes = Outcomes()
    store.gate.clear()
    enqueue(worker, outcomes, "m1")
    await until(lambda: store.threads)
    worker.submit_write(lambda: worker.queue.append(record("bad", args={"x": "\ud800"})), outcomes.of("bad"))
    enqueue(worker, outcomes, "m2")
    store.gate.set()
    await until(lambda: len(outcomes.list) == 3)
    assert [error is None for _, _, error in outcomes.list] == [True, False, True]
    assert [each.mutation_id for each in store.load()] == ["m1", "m2"]


async def test_idle_worker_recovers_and_says_so(store):
    """Nobody has to write for the store to become durable again."""
    loop = asyncio.get_running_loop()
    recovered = asyncio.Event()
    worker = StorageWorker(
        Storage(store), deliver=loop.call_soon_threadsafe, on_recovered=recovered.set, retry_interval=0.001
    )
    outcomes = Outcomes()
    store.fault = OSError("full")
    enqueue(worker, outcomes, "m1")
    await until(lambda: outcomes.list)
    store.fault = None
    async with asyncio.timeout(5):
        await recovered.wait()
    assert store.load() == [record("m1")]
    await asyncio.to_thread(worker.close)


async def test_raising_callback_harms_no_other(worker, caplog):
    """It is logged."""
    outcomes = Outcomes()
    worker.submit(lambda: 1, lambda result, error: 1 / 0)
    worker.submit(lambda: 2, outcomes.of("second"))
    await until(lambda: outcomes.list)
    assert "a callback of the storage failed" in caplog.text


async def test_finish_flushes_closes_and_ends_the_thread(store):
    """All that was submitted is stored; then nothing more is taken."""
    loop = asyncio.get_running_loop()
    worker = StorageWorker(Storage(store), deliver=loop.call_soon_threadsafe)
    outcomes = Outcomes()
    store.gate.clear()
    enqueue(worker, outcomes, "m1", "m2")
    worker.finish(outcomes.of("end"))
    worker.finish(outcomes.of("end again"))
    with pytest.raises(StorageError, match="was closed"):
        worker.submit(worker.queue.load)
    store.gate.set()
    await until(lambda: len(outcomes.list) == 4)
    assert outcomes.names == ["m1", "m2", "end", "end again"]
    assert store.closed >= 1
    assert (
        "lunora-storage" not in {thread.name for thread in threading.enumerate() if thread.is_alive()} or worker.close()
    )
    worker.finish(outcomes.of("late"))
    await until(lambda: outcomes.names[-1] == "late")


async def test_unused_worker_has_no_thread():
    """It closes without ever having started one."""
    worker = StorageWorker(Storage(MemoryQueue()), deliver=asyncio.get_running_loop().call_soon_threadsafe)
    assert worker.close()
    outcomes = Outcomes()
    worker.finish(outcomes.of("end"))
    await until(lambda: outcomes.list)


async def test_close_gives_up_in_time(worker, store):
    """A disk that hangs does not hang the program."""
    store.gate.clear()
    enqueue(worker, Outcomes(), "m1")
    await until(lambda: store.threads)
    assert not await asyncio.to_thread(worker.close, 0.01)


def test_result_for_a_loop_that_is_gone_is_dropped(tmp_path):
    """Nobody waits for it; the write is on the disk."""
    loop = asyncio.new_event_loop()
    worker = StorageWorker(open_directory(tmp_path), deliver=loop.call_soon_threadsafe)
    loop.close()
    worker.submit_write(lambda: worker.queue.append(record("m1")), lambda result, error: None)
    assert worker.close()
    with opened(tmp_path) as queue:
        assert ids(queue) == ["m1"]


def test_writes_survive_a_program_that_just_ends(tmp_path):
    """The interpreter waits for the flush, within bounds."""
    program = """
import sys
from lunora_rx.storage import StorageWorker, open_directory
from lunora_rx.testing import a_queued_mutation
worker = StorageWorker(open_directory(sys.argv[1]), deliver=lambda call, *args: call(*args))
for number in range(300):
    worker.submit_write(lambda number=number: worker.queue.append(a_queued_mutation(f"m{number}")))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with opened(tmp_path) as queue:
        assert ids(queue) == [f"m{number}" for number in range(300)]


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_is_told_and_the_parent_goes_on(tmp_path):
    """The child has no thread and no lock; it gets an error at once, not a hang."""
    worker = StorageWorker(open_directory(tmp_path), deliver=lambda call, *args: call(*args))
    outcomes = Outcomes()
    enqueue(worker, outcomes, "m1")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            worker.submit(worker.queue.load)
        except StorageError as error:
            code = 0 if "forked process" in str(error) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0
    enqueue(worker, outcomes, "m2")
    assert worker.close()
    with opened(tmp_path, Reports()) as queue:
        assert ids(queue) == ["m1", "m2"]


def test_stores_are_closed_on_the_thread_that_used_them(tmp_path, no_garbage):
    """No connection is left to the collector."""
    worker = StorageWorker(open_directory(tmp_path), deliver=lambda call, *args: call(*args))
    worker.submit(worker.queue.load)
    worker.submit(worker.cache.load)
    worker.submit(worker.bookmarks.get)
    assert worker.close()
    del worker
    gc.collect()
    if os.path.isdir("/proc/self/fd"):
        links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        paths = [os.readlink(link) for link in links if os.path.lexists(link)]
        assert not [path for path in paths if path.startswith(str(tmp_path))]
