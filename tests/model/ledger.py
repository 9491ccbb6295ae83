"""All writes of a world, and what must have become of them once everything is at rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from lunora_rx.protocol.rpc import Refused
from tests.model.app import Mood
from tests.model.client import Client
from tests.model.writes import Write

Row = dict[str, Any]

JOURNALLED = ("rows:apply", "rows:touch")


class Ledger:
    """Every write from the start.

    Attributes:
        writes: All of them; the mark of each is its place.
    """

    def __init__(self, mood: Mood) -> None:
        self.writes: list[Write] = []
        self._mood = mood

    def open_writes(self, client: Client) -> list[Write]:
        """Return the writes without a verdict that a client knows of."""
        is_loading = client.left_over is not None
        ours = [write for write in self.writes if write.is_open and write.client is client]
        return [write for write in ours if not (is_loading and write.is_hydrated)]

    def repeatable(self) -> list[Write]:
        """Return the writes of which nobody knows whether they were carried out, and that may be repeated."""
        return [
            write
            for write in self.writes
            if write.has_unknown_fate and not write.client.is_closed and write.author == write.client.author
        ]

    def left_over(self, client: Client) -> list[Write]:
        """Return the writes that a client's processes have left, and that it may make again before it has read them."""
        ours = [write for write in self.writes if write.is_open and write.is_hydrated and write.client is client]
        return [write for write in ours if client.left_over is not None and write.author == client.author]

    def begin_again(self, write: Write) -> None:
        """Have a write composed once more under its id."""
        write.is_open, write.outcome = True, None
        write.was_queued = write.is_stored = write.is_hydrated = False
        write.layers.clear()

    def hand_over(self, old: Client, new: Client) -> None:
        """Let a client answer for what another process has left on the disk."""
        for write in self.writes:
            if write.client is old:
                # One that had its verdict, of which the disk has not heard, has lost its place among the others.
                write.is_ordered = write.is_ordered and write.is_open
                write.is_open = False
                write.may_revive = True
        for record in new.left_over or ():
            write = self.writes[int(record.mutation_id[1:])]
            write.client = new
            write.is_open = write.is_stored = write.was_queued = write.is_hydrated = True
            write.outcome = write.answered = None
            write.layers = []
            new.writes[record.mutation_id] = write

    def forget(self) -> None:
        """Note that the server has lost everything."""
        for write in self.writes:
            write.may_be_lost = True

    def check(self, shard: str, journal: Iterable[Row]) -> None:
        """Compare a shard's journal with the verdicts."""
        rows = sorted(journal, key=lambda row: row["place"])
        found = Counter(row["mark"] for row in rows)
        for row in rows:
            author = self.writes[row["mark"]].author
            assert row["subject"] in author, f"write {row['mark']} of {author} was applied for {row['subject']}"
        for write in self.writes:
            if write.shard == shard:
                self._check_write(write, found[write.mark])
        self._check_order([self.writes[row["mark"]] for row in rows])

    def _check_write(self, write: Write, count: int) -> None:
        name = f"write {write.mark}"
        assert not write.is_open or write.client.is_closed, f"{name} has no verdict"
        assert count <= 1, f"{name} was applied {count} times"
        if write.mutation not in JOURNALLED:
            assert count == 0, f"{name} was applied, which the server refuses"
        elif write.was_committed:
            assert count == 1 or write.may_be_lost, f"{name} is lost"
        elif isinstance(write.outcome, Refused) or "cancelled" in write.excuses:
            is_certain = not write.was_sent and not write.may_revive
            assert count == 0 or not is_certain, f"{name} was rejected before it was sent, and was applied"

    def _check_order(self, applied: list[Write]) -> None:
        # The request of a write that was given up for good may still arrive, behind whatever was sent since.
        promised = [each for each in applied if each.is_ordered and each.was_committed]
        promised = [each for each in promised if each.mark not in self._mood.delayed]
        for lane, claimed in {(write.lane, write.author.claimed) for write in promised}:
            ours = [each for each in promised if each.lane == lane and each.author.claimed == claimed]
            for earlier, later in pairwise(ours):
                assert earlier.mark < later.mark, f"write {later.mark} was applied after write {earlier.mark}"
