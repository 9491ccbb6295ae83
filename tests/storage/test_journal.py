"""A journal writes in order, on a thread of its own, until the disk refuses."""

from __future__ import annotations

import gzip
import threading

import pytest

from lunora_rx.errors import StorageError
from lunora_rx.storage import journal as module
from lunora_rx.storage.journal import Journal


def test_journal_writes_every_line_in_order(tmp_path):
    """Closing waits for all of them, and may be repeated."""
    journal = Journal(tmp_path / "j", overwrite=False, on_error=pytest.fail)
    for number in range(1_000):
        journal.put(lambda number=number: b"%d\n" % number, 4)
    journal.close()
    journal.close()
    assert (tmp_path / "j").read_bytes().split() == [b"%d" % number for number in range(1_000)]
    assert journal.is_over


def test_journal_compresses_by_its_name(tmp_path):
    """As any tool for it expects."""
    journal = Journal(tmp_path / "j.gz", overwrite=False, on_error=pytest.fail)
    journal.put(lambda: b"line\n", 5)
    journal.close()
    assert gzip.decompress((tmp_path / "j.gz").read_bytes()) == b"line\n"


def test_journal_makes_lines_on_its_own_thread(tmp_path):
    """Whoever puts them does not wait."""
    makers = []
    journal = Journal(tmp_path / "j", overwrite=False, on_error=pytest.fail)
    journal.put(lambda: makers.append(threading.current_thread()) or b"", 1)
    journal.close()
    assert makers
    assert threading.current_thread() not in makers
    journal.put(lambda: pytest.fail("it is over"), 1)


def test_journal_that_cannot_keep_up_ends_with_an_error(tmp_path, monkeypatch):
    """Rather than take all memory; once."""
    monkeypatch.setattr(module, "MAX_WAITING", 10)
    errors, gate = [], threading.Event()
    journal = Journal(tmp_path / "j", overwrite=False, on_error=errors.append)
    journal.put(lambda: gate.wait(5) and b"x", 9)
    journal.put(lambda: b"y", 9)
    journal.put(lambda: b"z", 9)
    gate.set()
    journal.close()
    (error,) = errors
    assert isinstance(error, StorageError)
    assert "slower than what comes in" in str(error)


def test_journal_flushes_without_being_closed(tmp_path):
    """A crash loses little."""
    journal = Journal(tmp_path / "j", overwrite=False, on_error=pytest.fail)
    written = threading.Event()
    journal.put(lambda: b"line\n", 5)
    journal.put(lambda: written.set() or b"", 1)
    assert written.wait(5)
    journal.put(lambda: b"", 1)
    for _ in range(100):
        if (tmp_path / "j").read_bytes() == b"line\n":
            break
        threading.Event().wait(0.01)
    assert (tmp_path / "j").read_bytes() == b"line\n"
    journal.close()
