"""Real file systems that are full or read-only, on a small tmpfs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunora_rx.errors import StorageError
from lunora_rx.storage.bundle import open_directory
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.storage.recovery import RecoveringQueue
from lunora_rx.testing import a_cached_read
from tests.storage.disk import Reports, fill, ids, mounted, needs_root, opened, record, remount

pytestmark = needs_root


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    with mounted(tmp_path / "small") as place:
        yield place


@pytest.mark.fault(38, 51)
def test_full_disk_keeps_writes_and_verdicts_in_memory_until_there_is_space(small_disk):
    """Each refused write is reported; with space, the disk holds what memory holds, in order."""
    queue = RecoveringQueue(DiskQueue(small_disk / "store", report=Reports()), retry_interval=0)
    names = [f"m{number}" for number in range(200)]
    errors = []
    for name in names:
        if name == "m20":
            fill(small_disk)
        try:
            queue.append(record(name, args={"text": "x" * 2000}))
        except StorageError as error:
            errors.append(error)
    assert errors
    assert "full" in str(errors[0])
    try:
        queue.remove(["m0", "m199"])
    except StorageError as error:
        errors.append(error)
    assert not queue.is_durable
    remount(small_disk, "size=20m")
    assert queue.recover()
    queue.append(record("after"))
    queue.close()
    with opened(small_disk / "store") as again:
        assert ids(again) == [*names[1:-1], "after"]


def test_store_opened_on_a_full_disk_becomes_durable(small_disk):
    """There was never room for a database, until there is."""
    fill(small_disk)
    queue = RecoveringQueue(DiskQueue(small_disk / "store", report=Reports()), retry_interval=0)
    for name in ("m1", "m2"):
        with pytest.raises(StorageError):
            queue.append(record(name))
    (small_disk / "ballast").unlink()
    assert queue.recover()
    queue.close()
    with opened(small_disk / "store") as again:
        assert ids(again) == ["m1", "m2"]
        assert len(os.listdir(small_disk / "store" / "lanes")) == 1


def test_read_only_disk_is_an_error_and_memory_goes_on(small_disk):
    """Nothing hangs; what is on the disk is found when it can be opened."""
    with opened(small_disk / "store") as queue:
        queue.append(record("old"))
    remount(small_disk, "ro")
    queue = RecoveringQueue(DiskQueue(small_disk / "store", report=Reports()), retry_interval=0)
    with pytest.raises(StorageError):
        queue.load()
    with pytest.raises(StorageError):
        queue.append(record("new"))
    remount(small_disk, "rw")
    assert queue.look_again() == [record("old")]
    queue.close()
    with opened(small_disk / "store") as again:
        assert ids(again) == ["old", "new"]


def test_read_cache_on_a_full_disk_raises_and_works_again(small_disk):
    """Its failures are errors that the caller may swallow; nothing is kept for later."""
    storage = open_directory(small_disk / "store", report=Reports())
    assert storage.cache is not None
    storage.cache.put([a_cached_read("a")])
    fill(small_disk)
    with pytest.raises(StorageError):
        storage.cache.put([a_cached_read(f"k{number}", value="x" * 5000) for number in range(200)])
    (small_disk / "ballast").unlink()
    storage.cache.put([a_cached_read("b")])
    assert {"a", "b"} <= {entry.key for entry in storage.cache.load()}
    storage.close()
