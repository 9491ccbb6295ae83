"""The frames and calls between the dashboard's client and its server, as the client tells of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lunora_rx import FrameText, LunoraError, Tap
from lunora_rx.interfaces import SocketStage
from lunora_rx.protocol.recording import redact
from lunora_rx.protocol.rpc import HttpReply, HttpRequest

KEPT: Final = 200
_TEXT: Final = 300


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame, or one half of a call.

    Attributes:
        at: When, in local time.
        way: ``"sent"`` or ``"received"``.
        what: The frame's type; of a call its method and path, of a reply its status.
        size: Bytes on the wire, without headers.
        text: How it begins, without the credentials.
    """

    at: datetime
    way: str
    what: str
    size: int
    text: str


class FrameLog(Tap):
    """Remembers the newest frames and calls.

    Args:
        secrets: What stands in no text, even where a server repeats it.

    Attributes:
        seen: The newest, the last one last.
        count: How many there have been.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self.seen: deque[Seen] = deque(maxlen=KEPT)
        self.count = 0
        self._secrets = tuple(secrets)

    def note_socket(self, shard: str, stage: SocketStage, code: int | None) -> None:
        """Remember that a socket was opened or is gone."""
        if stage != "connecting":
            self._note("received", "opened" if stage == "open" else "closed", "" if code is None else f"code {code}", 0)

    def note_frame(self, shard: str, frame: FrameText) -> None:
        """Remember a frame."""
        self._note("received" if frame.is_inbound else "sent", frame.type, frame.text, frame.size)

    def note_request(self, request: HttpRequest) -> None:
        """Remember a request."""
        self._note("sent", f"{request.method} {request.path}", request.body or b"", len(request.body or b""))

    def note_reply(self, request: HttpRequest, reply: HttpReply | LunoraError) -> None:
        """Remember what came of a request."""
        if isinstance(reply, HttpReply):
            self._note("received", f"reply {reply.status}", reply.body, len(reply.body))
        else:
            self._note("received", "no reply", str(reply), 0)

    def _note(self, way: str, what: str, text: str | bytes, size: int) -> None:
        whole = text if isinstance(text, str) else text.decode(errors="replace")
        # The cut comes last: half a secret is no longer found.
        told = redact(whole, self._secrets)[:_TEXT]
        self.count += 1
        self.seen.append(Seen(datetime.now().astimezone(), way, what, size, told))
