"""The durable queue of one client: a disk that is as slow as the schedule wants."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from lunora_rx.core.events import RemoveRecords, ReplaceRecord, StoreRecord
from lunora_rx.core.records import QueuedMutation

Wish: TypeAlias = StoreRecord | RemoveRecords | ReplaceRecord


class Disk:
    """Records in the order in which they were stored; it outlives its clients.

    Attributes:
        records: What is on it.
        wishes: What it was asked for and has not done yet, in order.
        is_slow: Whether it does nothing by itself.
    """

    def __init__(self) -> None:
        self.records: dict[str, QueuedMutation] = {}
        self.wishes: deque[Wish] = deque()
        self.is_slow = False

    def work(self, count: int, *, is_full: bool = False) -> list[str]:
        """Do the first things it was asked for; return the ids of records that are now where they should be.

        A full disk stores nothing new, which is reported, and then the record's place is in memory.
        """
        done: list[str] = []
        for _ in range(min(count, len(self.wishes))):
            match self.wishes.popleft():
                case StoreRecord(record):
                    done.append(record.mutation_id)
                    if not is_full:
                        self.records[record.mutation_id] = record
                case RemoveRecords(mutation_ids):
                    for mutation_id in mutation_ids:
                        self.records.pop(mutation_id, None)
                case ReplaceRecord(record) if record.mutation_id in self.records:
                    self.records[record.mutation_id] = record
        return done

    def crash(self, count: int) -> None:
        """Lose what it was asked for, but for the first few wishes: nobody hears of those any more."""
        self.work(count)
        self.wishes.clear()
