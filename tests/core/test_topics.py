"""Topics of one shard: who joins, who leaves, what others say."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from lunora_rx.core.events import Event, WhisperDropped, WhisperReceived
from lunora_rx.core.topics import Topics
from lunora_rx.errors import ProtocolError
from lunora_rx.protocol.wire import TAG


class Listening:
    """Topics of a shard, with what they send and tell beside them."""

    def __init__(self) -> None:
        self.is_open = True
        self.events: list[Event] = []
        self.sent: list[Any] = []
        self.topics = Topics("room", self.events.append, self._send)

    def hear(self, *, tagged: bool = False, **body: Any) -> list[Event]:
        """Let the server pass a whisper on; return what happened."""
        self.events.clear()
        self.topics.handlers["whisper"]({"type": "whisper", **body}, tagged)
        return self.events

    def _send(self, text: str) -> bool:
        if self.is_open:
            self.sent.append(orjson.loads(text))
        return self.is_open


@pytest.fixture
def listening() -> Listening:
    """Topics over an open socket."""
    return Listening()


def test_topic_is_joined_by_the_first_and_left_by_the_last(listening):
    """Those between say nothing to the server; the socket is needed as long as one listens."""
    for _ in range(3):
        listening.topics.join("t")
    assert listening.sent == [{"type": "whisper_subscribe", "topic": "t"}]
    for _ in range(2):
        listening.topics.leave("t")
    assert (len(listening.sent), listening.topics.is_needed) == (1, True)
    listening.topics.leave("t")
    assert listening.sent[1:] == [{"type": "whisper_unsubscribe", "topic": "t"}]
    assert not listening.topics.is_needed


def test_topic_that_nobody_listens_to_is_not_left(listening):
    """It needs no socket, and the next one does not join it."""
    listening.topics.leave("t")
    assert (listening.sent, listening.topics.is_needed, listening.topics.frames_on_open()) == ([], False, [])
    listening.topics.join("t")
    assert listening.sent == [{"type": "whisper_subscribe", "topic": "t"}]


def test_topics_are_joined_again_on_a_new_socket(listening):
    """Those that somebody listens to, each once, in the order of joining."""
    for topic in ("a", "b", "c", "b"):
        listening.topics.join(topic)
    listening.topics.leave("a")
    frames = [orjson.loads(text) for text in listening.topics.frames_on_open()]
    assert frames == [{"type": "whisper_subscribe", "topic": topic} for topic in ("b", "c")]


def test_topics_without_a_socket_wait_for_one(listening):
    """What was joined and left meanwhile is not joined."""
    listening.is_open = False
    for topic in ("a", "b"):
        listening.topics.join(topic)
    listening.topics.leave("a")
    assert listening.sent == []
    assert len(listening.topics.frames_on_open()) == 1


def test_whisper_goes_out_or_is_dropped(listening):
    """Whoever whispers need not listen."""
    assert listening.topics.whisper("t", {"x": 1})
    assert listening.sent == [{"type": "whisper", "topic": "t", "data": {"x": 1}}]
    listening.is_open = False
    assert not listening.topics.whisper("t", None)
    assert len(listening.sent) == 1


@pytest.mark.parametrize(("sender", "expected"), [({"from": "ana"}, "ana"), ({}, None), ({"from": None}, None)])
def test_whisper_of_others_is_told_with_its_sender(listening, sender, expected):
    """As far as the server names one."""
    listening.topics.join("t")
    assert listening.hear(topic="t", data=[1], **sender) == [WhisperReceived("room", "t", [1], expected)]


def test_whisper_of_a_topic_that_nobody_listens_to_is_silent(listening):
    """It was under way when the last one left."""
    listening.topics.join("t")
    assert listening.hear(topic="other", data=1) == []
    listening.topics.leave("t")
    assert listening.hear(topic="t", data=[TAG, "bigint", "x"], tagged=True) == []


def test_whisper_is_decoded(listening):
    """Where its text may hold a tag; else it is what it is."""
    listening.topics.join("t")
    (event,) = listening.hear(topic="t", data=[TAG, "bigint", "7"], tagged=True)
    assert (event.data, type(event.data).__name__) == (7, "WireBigInt")


def test_whisper_that_does_not_decode_is_dropped(listening):
    """The reason is told, without what was said."""
    listening.topics.join("t")
    (event,) = listening.hear(topic="t", data=[TAG, "bigint", "canary"], tagged=True)
    assert isinstance(event, WhisperDropped)
    assert (event.shard, event.topic) == ("room", "t")
    assert event.reason
    assert "canary" not in event.reason


@pytest.mark.parametrize("body", [{}, {"topic": 5, "data": 1}, {"topic": "t", "from": 5, "data": 1}])
def test_whisper_of_the_wrong_form_is_refused(listening, body):
    """The session reports the frame and goes on."""
    listening.topics.join("t")
    with pytest.raises(ProtocolError):
        listening.hear(**body)
