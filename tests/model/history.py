"""Every value that each query of the model has had at the server, by position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lunora_rx.devserver import App, Backend
from lunora_rx.devserver.answers import Answer
from lunora_rx.devserver.functions import Function
from lunora_rx.devserver.shard import Caller
from lunora_rx.protocol import decode_wire, encode_wire
from lunora_rx.protocol.rpc import Outcome
from tests.model.app import OWN, QUERIES
from tests.model.pages import PAGES, PageQuery
from tests.model.shapes import SHAPES, Row

FAILED = object()
"""Stands for the value of a query that fails."""


class History:
    """The server's side of the story: what a fresh query gave after each commit."""

    def __init__(self, app: App, backend: Backend) -> None:
        self._backend = backend
        self._functions = {
            name: (app.functions[path], app.functions[path].bind(encode_wire(args)))
            for name, (path, args) in QUERIES.items()
        }
        self._ordinals: dict[tuple[str, Any, int], int] = {}
        self._values: dict[tuple[int, str], Any] = {}
        self._tables: dict[int, dict[str, list[Row]]] = {}
        self._pages = app.functions[PAGES]
        self._texts: dict[tuple[str, str | PageQuery, str | None], tuple[str, Any]] = {}

    def watch(self, shard: str) -> None:
        """Note what the shard's queries give now, and after each of its mutations, also those inside a batch."""
        watched = self._backend.shard(shard)
        mutate = watched.mutate

        def mutate_and_note(function: Function, args: Mapping[str, Any], caller: Caller) -> Outcome:
            outcome = mutate(function, args, caller)
            self.note(shard)
            return outcome

        setattr(watched, "mutate", mutate_and_note)  # noqa: B010 - a plain assignment to a method is a type error
        self.note(shard)

    def note(self, shard: str) -> None:
        """Note what the shard's queries give now, unless this position is known."""
        position = self._position(shard)
        if position not in self._ordinals:
            ordinal = self._ordinals[position] = len(self._ordinals)
            for name in QUERIES:
                if name not in OWN:
                    self._values[ordinal, name] = self._run(shard, name)
            self._tables[ordinal] = self._read(shard)

    def now(self, shard: str, name: str | PageQuery, subject: str | None) -> Any:
        """Return what a fresh query gives a subject, ``FAILED`` if it fails."""
        return self._run(shard, name, subject)

    def ordinal(self, shard: str, epoch: Any, cursor: int) -> int:
        """Return the place of a position in the story; it grows from commit to commit and over epochs."""
        assert (shard, epoch, cursor) in self._ordinals, f"the server was never at {epoch}:{cursor} in {shard!r}"
        return self._ordinals[shard, epoch, cursor]

    def find(self, shard: str, epoch: Any, cursor: int) -> int:
        """Return the place of a position; -1 for one that the epoch does not know, being older."""
        return self._ordinals.get((shard, epoch, cursor), -1)

    def value(self, ordinal: int, name: str | PageQuery, subject: str | None) -> Any:
        """Return what a query gave a subject at a place in the story."""
        if name in OWN:
            return OWN[name](self._tables[ordinal], subject)
        if isinstance(name, PageQuery):
            return name.answer(self._tables[ordinal]["rows"])
        return self._values[ordinal, name]

    def tables(self, shard: str, first: int, last: int) -> list[list[Row]]:
        """Return the rows of a shard at all its places in a part of the story."""
        places = [ordinal for (where, _, _), ordinal in self._ordinals.items() if where == shard]
        return [self._tables[ordinal]["rows"] for ordinal in places if first <= ordinal <= last]

    def rows_now(self, shard: str) -> list[Row]:
        """Return the rows of a shard as they are."""
        return self._tables[self._ordinals[self._position(shard)]]["rows"]

    def members(self, ordinal: int, name: str, subject: str | None) -> Any:
        """Return the rows of a shape by key at a place in the story, ``FAILED`` where it fails."""
        rows = SHAPES[name].members(self._tables[ordinal], subject)
        return FAILED if rows is None else {row["_id"]: row for row in rows}

    def members_now(self, shard: str, name: str, subject: str | None) -> Any:
        """Return the rows of a shape by key as they are."""
        return self.members(self._ordinals[self._position(shard)], name, subject)

    def _read(self, shard: str) -> dict[str, list[Row]]:
        store = self._backend.shard(shard).store
        return {
            table: list(store.scan(table, low=-1e18, high=1e18, descending=False, equal={}))
            for table in ("rows", "labels")
        }

    def _position(self, shard: str) -> tuple[str, Any, int]:
        found = self._backend.shard(shard)
        return shard, found.epoch, found.cursor

    def _function(self, name: str | PageQuery) -> tuple[Function, Any]:
        if isinstance(name, PageQuery):
            return self._pages, self._pages.bind(encode_wire(name.args))
        return self._functions[name]

    def _run(self, shard: str, name: str | PageQuery, subject: str | None = None) -> Any:
        function, args = self._function(name)
        answer = self._backend.shard(shard).run_query(function, args, subject).answer
        if not isinstance(answer, Answer):
            return FAILED
        text, value = self._texts.get((shard, name, subject), ("", None))
        if text != answer.text:
            value = decode_wire(answer.tree)
            self._texts[shard, name, subject] = (answer.text, value)
        return value
