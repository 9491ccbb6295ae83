"""What one client keeps: its queue, and the values it has read, on a disk that is as slow as the schedule wants."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, TypeAlias

from lunora_rx.core.events import ClearReads, ForgetReads, RemoveRecords, ReplaceRecord, StoreRecord
from lunora_rx.core.read_cache import FreshRead
from lunora_rx.core.records import CachedRead, QueuedMutation


class Told(NamedTuple):
    """How a value came.

    Attributes:
        owner: To whom: who had signed in when its socket opened, or asked for it over HTTP.
        is_mid_run: Whether it is between two states of the server.
    """

    owner: str | None
    is_mid_run: bool = False


class StoredRead(NamedTuple):
    """A value on the disk."""

    entry: CachedRead
    told: Told


class StoreOwned(NamedTuple):
    """``StoreReads``, and how each value came."""

    reads: tuple[tuple[FreshRead, Told], ...]


Wish: TypeAlias = StoreRecord | RemoveRecords | ReplaceRecord | StoreOwned | ForgetReads | ClearReads


class Disk:
    """Records in the order in which they were stored; it outlives its clients.

    Attributes:
        records: The queue that is on it.
        reads: The values that are on it, by subscription key.
        refused: Records for which there was no place.
        wishes: What it was asked for and has not done yet, in order.
        is_slow: Whether it does nothing by itself.
    """

    def __init__(self) -> None:
        self.records: dict[str, QueuedMutation] = {}
        self.reads: dict[str, StoredRead] = {}
        self.refused: set[str] = set()
        self.wishes: deque[Wish] = deque()
        self.is_slow = False

    def work(self, count: int, *, is_full: bool = False) -> list[str]:
        """Do the first things it was asked for; return the ids of records that are now where they should be.

        A full disk stores nothing new, which is reported, and then the record's place is in memory.
        """
        done = [self._do(self.wishes.popleft(), is_full=is_full) for _ in range(min(count, len(self.wishes)))]
        return [mutation_id for mutation_id in done if mutation_id is not None]

    def crash(self, count: int) -> None:
        """Lose what it was asked for, but for the first few wishes: nobody hears of those any more."""
        self.work(count)
        self.wishes.clear()

    def _do(self, wish: Wish, *, is_full: bool) -> str | None:
        """Do one thing; return the id of a record that is now where it should be."""
        match wish:
            case StoreRecord(record):
                if is_full:
                    self.refused.add(record.mutation_id)
                else:
                    self.records[record.mutation_id] = record
                return record.mutation_id
            case RemoveRecords(mutation_ids):
                for mutation_id in mutation_ids:
                    self.records.pop(mutation_id, None)
            case ReplaceRecord(record) if record.mutation_id in self.records:
                self.records[record.mutation_id] = record
            case StoreOwned() | ForgetReads() | ClearReads():
                self._do_with_reads(wish, is_full=is_full)
        return None

    def _do_with_reads(self, wish: StoreOwned | ForgetReads | ClearReads, *, is_full: bool) -> None:
        match wish:
            case StoreOwned(reads) if not is_full:
                self.reads.update({read.key: StoredRead(read.encoded(0.0), whose) for read, whose in reads})
            case ForgetReads(keys):
                for key in keys:
                    self.reads.pop(key, None)
            case ClearReads():
                self.reads.clear()
