"""What all open pages share: the one client, the calls made, the frames seen."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lunora_rx import Call, LiveQuery, LunoraClient, LunoraError, Mutation, Phase
from lunora_rx.cli.dashboard.catalog import Catalog, read_catalog
from lunora_rx.cli.dashboard.columns import shown
from lunora_rx.cli.dashboard.frames import FrameLog, WatchedTransport
from lunora_rx.codegen.document import DocumentError, FunctionKind
from lunora_rx.codegen.source import read_document
from lunora_rx.protocol.recording import redact
from lunora_rx.transport.aiohttp_transport import AiohttpTransport

KEPT: Final = 100
_TEXT: Final = 1000
_MAX_SIZE: Final = 64 * 2**20
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
        function: Its path.
        args: Its arguments, as text.
        state: How far it has come.
        result: What it gave, or why it failed.
    """

    at: datetime
    kind: FunctionKind
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
        url: The server.
        token: Bearer of calls and token of sockets; it stands in nothing that a page shows.

    Attributes:
        client: The client.
        frames: The frames that it sent and received.
        calls: The newest calls, the last one last.
        version: Grows whenever a call comes further.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.frames = FrameLog([token] if token else [])
        transport = AiohttpTransport(max_frame_size=_MAX_SIZE, max_body_size=_MAX_SIZE)
        self.client = LunoraClient(
            url, auth_token=token, ws_token=token, transport=WatchedTransport(transport, self.frames)
        )
        self.calls: deque[Made] = deque(maxlen=KEPT)
        self.version = 0
        self._url = url
        self._token = token

    async def aclose(self) -> None:
        """End the client."""
        await self.client.aclose()

    def redact(self, text: str) -> str:
        """Return a text without the token."""
        return redact(text, [self._token] if self._token else [])

    async def read_catalog(self) -> Catalog:
        """Return the functions of the server; without a document there are none, and the reason is told."""
        try:
            document = await asyncio.to_thread(read_document, self._url, auth_token=self._token, timeout=_PATIENCE)
            return read_catalog(document)
        except DocumentError as error:
            return Catalog(problem=self.redact(str(error)))

    def live(self, function: str, args: Mapping[str, Any], shard: str | None) -> LiveQuery[Any]:
        """Return a live query.

        Raises:
            ValueError: The path or the shard is none.
        """
        return self.client.live(function, args, shard=shard)

    def run(self, kind: FunctionKind, function: str, args: Mapping[str, Any], shard: str | None) -> Made:
        """Start a mutation or an action, and return what is written of it as it comes further.

        Raises:
            ValueError: The path or the shard is none.
        """
        call: Call[Any]
        if kind == "mutation":
            call = self.client.mutation(function, args, shard=shard)
        else:
            call = self.client.action(function, args, shard=shard)
        made = Made(datetime.now().astimezone(), kind, function, self.redact(shown(dict(args)))[:_TEXT], WAITING)
        self.calls.append(made)
        if isinstance(call, Mutation):
            call.phases.subscribe(lambda phase: self._note(made, str(phase)))
        call.subscribe(
            lambda result: self._note(made, None if kind == "mutation" else DONE, shown(result)),
            lambda error: self._note(made, None if kind == "mutation" else FAILED, _reason(error)),
        )
        return made

    def _note(self, made: Made, state: str | None, result: str | None = None) -> None:
        made.state = state or made.state
        made.result = made.result if result is None else self.redact(result)[:_TEXT]
        self.version += 1


def _reason(error: Exception) -> str:
    if isinstance(error, LunoraError) and error.code:
        return f"{error.code}: {error.message}"
    return str(error)
