"""Whispers of one shard: topics that somebody here listens to, and what others tell them.

Knows who joined what. Does not know when the socket opens.
Source: ``docs/protocol.md``, section "Whispers".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from lunora_rx.core.events import Event, WhisperDropped, WhisperReceived
from lunora_rx.errors import CodecError
from lunora_rx.protocol.frames import (
    WhisperFrame,
    WhisperSend,
    WhisperSubscribe,
    WhisperUnsubscribe,
    decode_server_frame,
    encode_frame,
)
from lunora_rx.protocol.wire import decode_wire


class Topics:
    """The topics of one shard.

    Args:
        shard: The shard key, for events.
        emit: Takes each event.
        send: Puts a frame on the open socket, and tells whether there is one.
    """

    def __init__(self, shard: str, emit: Callable[[Event], None], send: Callable[[str], bool]) -> None:
        self._shard = shard
        self._emit = emit
        self._send = send
        self._listeners: Counter[str] = Counter()
        self.handlers: Mapping[str, Callable[[dict[str, Any], bool], None]] = {WhisperFrame.TYPE: self._receive}

    @property
    def is_needed(self) -> bool:
        """Whether the socket must stay."""
        return bool(self._listeners)

    def join(self, topic: str) -> None:
        """Count one more who listens; the first joins the topic."""
        self._listeners[topic] += 1
        if self._listeners[topic] == 1:
            self._send(encode_frame(WhisperSubscribe(topic)))

    def leave(self, topic: str) -> None:
        """Count one less who listens, if anybody does; the last leaves the topic."""
        if topic not in self._listeners:
            return
        self._listeners[topic] -= 1
        if not self._listeners[topic]:
            del self._listeners[topic]
            self._send(encode_frame(WhisperUnsubscribe(topic)))

    def whisper(self, topic: str, data: Any) -> bool:
        """Tell the others something, in wire form; tells whether it left: without a socket it is dropped."""
        return self._send(encode_frame(WhisperSend(topic, data)))

    def frames_on_open(self) -> list[str]:
        """Return what joins the topics again on a new socket."""
        return [encode_frame(WhisperSubscribe(topic)) for topic in self._listeners]

    def describe(self) -> dict[str, int]:
        """Return how many listen to what."""
        return dict(self._listeners)

    def _receive(self, frame: dict[str, Any], tagged: bool) -> None:
        whisper = decode_server_frame(frame)
        assert isinstance(whisper, WhisperFrame)
        if whisper.topic not in self._listeners:
            return
        try:
            data = decode_wire(whisper.data, root="data") if tagged else whisper.data
        except CodecError as error:
            self._emit(WhisperDropped(self._shard, whisper.topic, error.message))
            return
        self._emit(WhisperReceived(self._shard, whisper.topic, data, whisper.sender))
