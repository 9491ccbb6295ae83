"""The durable queue: the lanes that this process holds, as one store.

Its own lane takes what is appended. Adopted ones stand before it, oldest first, until their last record is
removed, and are deleted then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lunora_rx.core.records import QueuedMutation
from lunora_rx.errors import StorageError
from lunora_rx.storage.database import Report
from lunora_rx.storage.lanes import Lane, free_lanes, new_lane
from lunora_rx.storage.rows import queued_of_payload, queued_to_payload


class DiskQueue:
    """A queue store in a directory that other processes may use too (``docs/protocol.md``, "Durable record").

    Belongs to one thread. Opens with its first call; a call that fails closes it, and the next one opens it
    again. What returned is on the disk, synchronised, or was committed with its group.

    Args:
        directory: The storage directory.
        report: Told what was found damaged, on the thread that called.
    """

    def __init__(self, directory: Path, *, report: Report) -> None:
        self._directory = directory
        self._report = report
        self._lanes: list[Lane] = []
        self._is_in_group = False
        self._check_process = one_process(directory)

    def append(self, record: QueuedMutation) -> None:
        """Keep a record behind all others; one whose id is there already is replaced in its place.

        Raises:
            StorageError: The disk refuses, or the record cannot be stored (then ``transient`` is false).
        """
        payload = queued_to_payload(record)
        with self.group():
            self._lane_of(record.mutation_id).put(record.mutation_id, payload)

    def load(self) -> list[QueuedMutation]:
        """Return all records, those of adopted lanes first, oldest first; a damaged one is reported and left out."""
        return _records(self._opened())

    def remove(self, ids: Collection[str]) -> None:
        """Forget records; unknown ids are ignored."""
        with self.group():
            for lane in self._lanes:
                for mutation_id in ids:
                    lane.remove(mutation_id)

    def replace(self, record: QueuedMutation) -> None:
        """Put a record in the place of the one with its id, at once; without one, do nothing."""
        payload = queued_to_payload(record)
        with self.group():
            lane = self._lane_of(record.mutation_id)
            if lane.has(record.mutation_id):
                lane.put(record.mutation_id, payload)

    def clear(self) -> None:
        """Forget every record of the lanes that this process holds."""
        with self.group():
            for lane in self._lanes:
                for mutation_id in lane.ids:
                    lane.remove(mutation_id)

    def adopt(self) -> list[QueuedMutation]:
        """Take the lanes that nobody holds any more and return what they hold, oldest first.

        The records belong ahead of what this process composes from now on.
        """
        known = {mutation_id for lane in self._opened() for mutation_id in lane.ids}
        found = free_lanes(self._directory, report=self._report)
        self._lanes[-1:-1] = found
        records = [record for record in _records(found) if record.mutation_id not in known]
        self._drop_empty()
        return records

    @contextmanager
    def group(self) -> Iterator[None]:
        """Make one transaction of what is called inside: on disk when it ends, or undone.

        Raises:
            StorageError: The disk refuses; nothing of the group was kept.
        """
        if self._is_in_group:
            yield
            return
        lanes = self._opened()
        self._is_in_group = True
        try:
            with lanes[-1].group() if len(lanes) == 1 else _group_of(lanes):
                yield
        finally:
            self._is_in_group = False
        self._drop_empty()

    def close(self) -> None:
        """Let all lanes go, with what they hold; closing a closed store does nothing."""
        self._check_process()
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            lane.close()

    def _opened(self) -> list[Lane]:
        self._check_process()
        if self._is_in_group:
            return self._lanes
        lost = [lane for lane in self._lanes if not lane.is_held]
        if lost:
            self.close()
            raise StorageError(f"cannot use the lane {lost[0].path}: it was deleted", transient=True)
        if not self._lanes:
            self._lanes = free_lanes(self._directory, report=self._report)
            if not self._lanes:
                self._lanes = [new_lane(self._directory, report=self._report)]
            self._drop_empty()
        for lane in self._lanes:
            lane.open()
        return self._lanes

    def _lane_of(self, mutation_id: str) -> Lane:
        return next((lane for lane in self._lanes if lane.has(mutation_id)), self._lanes[-1])

    def _drop_empty(self) -> None:
        if len(self._lanes) < 2:
            return
        empty = [lane for lane in self._lanes[:-1] if not lane.ids]
        self._lanes = [lane for lane in self._lanes if lane not in empty]
        for lane in empty:
            lane.delete()


def one_process(path: Path | str) -> Callable[[], None]:
    """Return a function that raises ``StorageError`` in a process forked from the one that called this."""
    opener: int | None = None  # until the first use: making a store opens nothing

    def check() -> None:
        nonlocal opener
        opener = os.getpid() if opener is None else opener
        if os.getpid() != opener:
            raise StorageError(
                f"cannot use {path} in a forked process: it belongs to process {opener}; fork first, then open"
            )

    return check


@contextmanager
def _group_of(lanes: list[Lane]) -> Iterator[None]:
    with ExitStack() as stack:
        # The own lane, the last one, commits first: records carried over to it are never in no lane.
        for lane in lanes:
            stack.enter_context(lane.group())
        yield


def _records(lanes: list[Lane]) -> list[QueuedMutation]:
    # An id in two lanes is a record that was carried over by a process killed in between.
    records: dict[str, QueuedMutation] = {}
    for lane in lanes:
        for payload in lane.payloads():
            record = queued_of_payload(payload)
            records.setdefault(record.mutation_id, record)
    return list(records.values())
