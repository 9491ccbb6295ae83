"""Those who look on: what a client's taps are told, without the credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lunora_rx.errors import LunoraError
from lunora_rx.interfaces import CallNews, SocketStage, Tap
from lunora_rx.protocol.endpoints import HEADER_AUTHORIZATION, redact_url
from lunora_rx.protocol.frame_text import FrameText
from lunora_rx.protocol.rpc import HttpReply, HttpRequest
from lunora_rx.protocol.session_probe import redact_session

_CREDENTIALS = frozenset({HEADER_AUTHORIZATION, "cookie", "set-cookie"})


class Taps(list[Tap]):
    """The taps of one client; whoever tells them something asks first whether there are any.

    Args:
        report: Takes what they raise.
    """

    def __init__(self, report: Callable[[Exception], None]) -> None:
        super().__init__()
        self._report = report

    def note_socket(self, shard: str, stage: SocketStage, code: int | None = None) -> None:
        """Tell all of a socket."""
        self._tell(lambda tap: tap.note_socket(shard, stage, code))

    def note_frame(self, shard: str, frame: FrameText) -> None:
        """Tell all of a frame."""
        self._tell(lambda tap: tap.note_frame(shard, frame))

    def note_request(self, request: HttpRequest) -> HttpRequest:
        """Tell all of a request; return it with the headers that they add."""
        shown = _without_credentials(request)
        added: dict[str, str] = {}
        self._tell(lambda tap: added.update(tap.note_request(shown) or {}))
        named = {name.lower(): value for name, value in added.items()}
        return replace(request, headers={**named, **request.headers})

    def note_reply(self, request: HttpRequest, reply: HttpReply | LunoraError) -> None:
        """Tell all of a reply."""
        shown = _without_credentials(request)
        told = _reply_without_credentials(request, reply) if isinstance(reply, HttpReply) else reply
        self._tell(lambda tap: tap.note_reply(shown, told))

    def note_call(self, news: CallNews) -> None:
        """Tell all of a call."""
        self._tell(lambda tap: tap.note_call(news))

    def note_shown(self, shard: str, function_path: str, cursor: int) -> None:
        """Tell all of what a live query shows."""
        self._tell(lambda tap: tap.note_shown(shard, function_path, cursor))

    def _tell(self, tell: Callable[[Tap], Any]) -> None:
        for tap in tuple(self):
            try:
                tell(tap)
            except Exception as error:
                self._report(error)


def _without_credentials(request: HttpRequest) -> HttpRequest:
    return replace(request, headers=_harmless(request.headers))


def _reply_without_credentials(request: HttpRequest, reply: HttpReply) -> HttpReply:
    # A question is the session probe, whose answer may hold the session's own token.
    body = redact_session(reply.body).encode() if request.body is None else reply.body
    return replace(reply, headers=_harmless(reply.headers), body=body)


def _harmless(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: redact_url(value) for name, value in headers.items() if name.lower() not in _CREDENTIALS}
