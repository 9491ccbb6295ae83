"""Records a session: looks on at what passes between a client and its server, and writes it down.

Source of the format: ``docs/recording.md``.  What is kept holds no credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

from reactivex.abc import DisposableBase

from lunora_rx.core.connection import Connecting
from lunora_rx.core.recap import encode_base, is_anything_shown, recap
from lunora_rx.core.session import Session
from lunora_rx.driver import Driver
from lunora_rx.errors import LunoraError
from lunora_rx.interfaces import SocketStage, Tap
from lunora_rx.protocol.endpoints import HEADER_SHARD_KEY, redact_url
from lunora_rx.protocol.frame_text import FrameText
from lunora_rx.protocol.recording import (
    Entry,
    Header,
    Kind,
    encode_entry,
    encode_header,
    redact,
    redact_frame,
)
from lunora_rx.protocol.rpc import HttpReply, HttpRequest
from lunora_rx.protocol.session_probe import redact_session
from lunora_rx.protocol.text import parse
from lunora_rx.storage.journal import Journal


class Recording(Tap, DisposableBase):
    """A recording under way; a context manager, also an asynchronous one.

    It ends by ``close()``, with the client, or when the disk refuses. Ending it twice does nothing.

    Args:
        driver: Whose session it is.
        journal: Where it goes.
        url: The server, fit to be shown.
    """

    def __init__(self, driver: Driver, journal: Journal, *, url: str) -> None:
        self._driver = driver
        self._journal = journal
        self._began_at: float | None = None
        self._open: set[str] = set()
        self._based: set[str] = set()
        self._secrets: frozenset[str] = frozenset()
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._put_line(partial(encode_header, Header(started_at, url)), 100)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Recording {self._journal.path} {'under way' if self.is_recording else 'ended'}>"

    @property
    def is_recording(self) -> bool:
        """Whether it is under way: neither closed, nor ended by the disk."""
        return self in self._driver.taps and not self._journal.is_over

    def begin(self) -> None:
        """Write what the client shows already, and look on from now."""
        self._driver.taps.append(self)
        for session in self._driver.core.sessions.values():
            self._recap(session)

    def close(self) -> None:
        """End the recording and wait until all of it is in the file: a few milliseconds, as the disk goes."""
        self.end()
        self._journal.close()

    def dispose(self) -> None:
        """End the recording, as ``close`` does: a recording is a disposable."""
        self.close()

    async def aclose(self) -> None:
        """End the recording; wait for the file without holding up the loop."""
        self.end()
        await asyncio.to_thread(self._journal.close)

    def end(self) -> None:
        """Look on no longer; what was seen is still written."""
        if self not in self._driver.taps:
            return
        self._put(Kind.END)
        self._driver.taps.remove(self)
        self._journal.finish()

    def note_socket(self, shard: str, stage: SocketStage, code: int | None = None) -> None:
        """Write how a shard's connection stands."""
        if stage == "connecting":
            self._put(Kind.CONNECTING, shard)
            return
        if stage == "open":
            self._open.add(shard)
            self._put(Kind.OPENED, shard)
            return
        if shard not in self._open:
            self._put(Kind.FAILED, shard)
            return
        self._open.discard(shard)
        # A shard that was given up for want of interest was not cut.
        is_kept = shard in self._driver.core.sessions
        self._put(Kind.LOST if is_kept else Kind.RELEASED, shard, code=code)

    def note_frame(self, shard: str, frame: FrameText) -> None:
        """Write a frame."""
        if frame.is_inbound:
            self._put(Kind.RECEIVED, shard, frame.text)
            return
        text = str(frame.text)
        self._put(Kind.SENT, shard, redact_frame(text))
        if '"sinceSeq"' in text:
            self._put_base(shard, text)

    def note_request(self, request: HttpRequest) -> None:
        """Write a request, without its headers."""
        path = f"{request.method} {request.path}"
        self._put(Kind.REQUEST, text=request.body or b"", request=request.request_id, path=path)

    def note_reply(self, request: HttpRequest, reply: HttpReply | LunoraError) -> None:
        """Write a reply, without its headers."""
        number = request.request_id
        if isinstance(reply, LunoraError):
            self._put(Kind.FAILURE, text=redact_url(reply.message), request=number)
            return
        body: str | bytes = redact_session(reply.body) if request.body is None else reply.body
        shard = reply.headers.get(HEADER_SHARD_KEY, "")
        self._put(Kind.REPLY, shard, body, code=reply.status, request=number)

    def _recap(self, session: Session) -> None:
        shard, is_open = session.shard, session.connection.is_open
        if is_open or is_anything_shown(session):
            self._open.add(shard)
            self._put(Kind.OPENED, shard)
            self._based.update(each.id for each in session.subscriptions)
            for told in recap(session):
                self._put(Kind.RECEIVED if told.is_inbound else Kind.SENT, shard, told.text)
        if is_open:
            return
        if shard in self._open:
            self._open.discard(shard)
            self._put(Kind.LOST, shard)
        if isinstance(session.connection.state, Connecting):
            self._put(Kind.CONNECTING, shard)

    def _put_base(self, shard: str, text: str) -> None:
        # A value from before the recording, or from the disk, is resumed from: no frame will ever say it.
        tree: Any = parse(text)
        session = self._driver.core.sessions.get(shard)
        subscription = None if session is None else session.subscriptions.find(tree.get("id"))
        if subscription is None or subscription.id in self._based:
            return
        self._based.add(subscription.id)
        base = encode_base(subscription)
        if base is not None:
            self._put(Kind.BASE, shard, base)

    def _learn_secrets(self) -> None:
        secrets = self._driver.secrets
        if not secrets <= self._secrets:
            self._secrets |= secrets

    def _put(
        self,
        kind: Kind,
        shard: str = "",
        text: str | bytes = "",
        *,
        code: int | None = None,
        request: int = 0,
        path: str = "",
    ) -> None:
        if kind is not Kind.RECEIVED:
            self._learn_secrets()
        at, secrets = self._elapsed(), self._secrets

        def make() -> bytes:
            spelt = text if isinstance(text, str) else text.decode(errors="backslashreplace")
            return encode_entry(Entry(at, kind, shard, redact(spelt, secrets), code, request, path))

        self._put_line(make, len(text) + 60)

    def _put_line(self, make: Callable[[], bytes], size: int) -> None:
        self._journal.put(make, size)

    def _elapsed(self) -> float:
        # Before the client has a loop nothing can have happened yet.
        loop = self._driver.loop
        if loop is None:
            return 0.0
        now = loop.time()
        if self._began_at is None:
            self._began_at = now
        return (now - self._began_at) * 1000
