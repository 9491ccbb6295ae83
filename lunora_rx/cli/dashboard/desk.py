"""What all open pages share: the one client, the calls made, the frames seen."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reactivex import Observable

from lunora_rx import Call, LunoraError, Mutation, Phase
from lunora_rx.cli.dashboard.catalog import Catalog, ListedKind, read_catalog
from lunora_rx.cli.dashboard.columns import shown
from lunora_rx.cli.dashboard.frames import FrameLog
from lunora_rx.cli.dashboard.shown import Shown, shown_of
from lunora_rx.cli.target import Target
from lunora_rx.cli.text import encodable
from lunora_rx.codegen.document import DocumentError
from lunora_rx.codegen.source import read_document

KEPT: Final = 100
_TEXT: Final = 1000
_PATIENCE: Final = 5.0
# What a call is before its verdict; those of a mutation are its phases.
WAITING: Final = "waiting"
DONE: Final = "done"
FAILED: Final = "failed"


@dataclass(slots=True)
class Made:
    """A call that somebody made on a page.

    Attributes:
        at: When, in local time.
        kind: Mutation or action.
        call: The call.
        function: Its path.
        args: Its arguments, as text.
        state: How far it has come.
        result: What it gave, or why it failed.
    """

    at: datetime
    kind: ListedKind
    call: Call[Any]
    function: str
    args: str
    state: str
    result: str = ""

    @property
    def is_queued(self) -> bool:
        """Whether it is a write that still waits for its verdict."""
        return self.kind == "mutation" and self.state not in (Phase.COMMITTED, Phase.REJECTED)


class Desk:
    """The one client of a process, and what its pages made of it.

    Args:
        target: The server, and the credential for it, which stands in nothing that a page shows.

    Attributes:
        client: The client.
        frames: The frames that it sent and received.
        calls: The newest calls, the last one last.
        version: Grows whenever a call comes further.
    """

    def __init__(self, target: Target) -> None:
        self.client = target.client()
        self.frames = FrameLog([target.token] if target.token else [])
        self.client.tap(self.frames)
        self.calls: deque[Made] = deque(maxlen=KEPT)
        self.version = 0
        self._queue: list[Made] = []
        self._target = target

    @property
    def queue(self) -> list[Made]:
        """The writes that have no verdict yet, in the order in which they were made."""
        self._queue = [each for each in self._queue if each.is_queued]
        return self._queue

    async def aclose(self) -> None:
        """End the client."""
        await self.client.aclose()

    async def read_catalog(self) -> Catalog:
        """Return the functions of the server; without a document there are none, and the reason is told."""
        try:
            target = self._target
            document = await asyncio.to_thread(read_document, target.url, auth_token=target.token, timeout=_PATIENCE)
            return read_catalog(document)
        except DocumentError as error:
            return Catalog(problem=self._target.redact(str(error)))

    def watch(self, kind: ListedKind, function: str, args: Mapping[str, Any], shard: str | None) -> Observable[Shown]:
        """Return what a query, a shape or a stream shows, for as long as somebody watches.

        Raises:
            ValueError: The path or the shard is none.
        """
        if kind == "shape":
            return shown_of(self.client.shape(function, args, shard=shard))
        if kind == "stream":
            return shown_of(self.client.stream(function, args, shard=shard))
        return shown_of(self.client.live(function, args, shard=shard))

    def run(self, kind: ListedKind, function: str, args: Mapping[str, Any], shard: str | None) -> Made:
        """Start a mutation or an action, and return what is written of it as it comes further.

        Raises:
            ValueError: The path or the shard is none.
        """
        call: Call[Any]
        if kind == "mutation":
            call = self.client.mutation(function, args, shard=shard)
        else:
            call = self.client.action(function, args, shard=shard)
        told = self._target.redact(shown(dict(args)))[:_TEXT]
        made = Made(datetime.now().astimezone(), kind, call, function, told, WAITING)
        self.calls.append(made)
        if isinstance(call, Mutation):
            self._queue.append(made)
            call.phases.subscribe(lambda phase: self._note(made, str(phase)))
        call.subscribe(
            lambda result: self._note(made, None if kind == "mutation" else DONE, shown(result)),
            lambda error: self._note(made, None if kind == "mutation" else FAILED, _reason(error)),
        )
        return made

    def _note(self, made: Made, state: str | None, result: str | None = None) -> None:
        made.state = state or made.state
        made.result = made.result if result is None else self._target.redact(result)[:_TEXT]
        self.version += 1


def _reason(error: Exception) -> str:
    told = f"{error.code}: {error.message}" if isinstance(error, LunoraError) and error.code else str(error)
    return encodable(told)
