"""A frame for those who look on: what may be shown of it, and that a payload never is."""

from __future__ import annotations

import pytest

from lunora_rx.protocol.endpoints import PING, PONG
from lunora_rx.protocol.frame_text import FrameText

CANARY = "canary-4711"


def told(text, *, is_inbound=True):
    frame = FrameText(text, is_inbound=is_inbound)
    return frame.type, frame.id, frame.size


@pytest.mark.parametrize(
    ("text", "kind", "about"),
    [
        ('{"type":"data","id":"sub_1","data":1}', "data", "sub_1"),
        ('{"id":"sub_12","data":{"type":"ack"},"type":"delta"}', "delta", "sub_12"),
        ('{"type":"pokePart","shapeId":"shape_3","rows":[]}', "pokePart", "shape_3"),
        ('{"type":"connect","clientId":"c"}', "connect", None),
    ],
)
def test_frame_text_tells_type_and_id_wherever_they_stand(text, kind, about):
    """The order of the fields, and whether it is a text or bytes, make no difference."""
    assert told(text) == (kind, about, len(text))
    assert told(text.encode()) == (kind, about, len(text))


@pytest.mark.parametrize(("text", "kind"), [(PING, "ping"), (PONG, "pong"), (PONG.encode(), "pong")])
def test_frame_text_of_a_keepalive_is_named(text, kind):
    """Keepalives are no JSON."""
    assert told(text) == (kind, None, len(text))


@pytest.mark.parametrize(
    "text",
    [
        CANARY,
        "[]",
        f'{{"type":"{CANARY}","id":"{CANARY}"}}',
        f'{{"type":"canary4711","id":["{CANARY}"]}}',
        f'{{"id":"{CANARY}","type":{{"{CANARY}":1}}}}',
        f'{{"id":"{CANARY}","type":"{CANARY}',
    ],
)
def test_frame_text_that_a_peer_made_up_is_not_repeated(text):
    """A type that nobody knows, an id that nobody gave and what is no frame at all say nothing."""
    frame = FrameText(text, is_inbound=True)
    assert (frame.type, frame.id) == ("unknown", None)
    assert repr(frame) == f"<FrameText unknown None, {len(text)} bytes>"


def test_frame_text_size_counts_bytes():
    """A text beyond ASCII is longer on the wire; a lone surrogate is counted too."""
    assert FrameText("\u00e9", is_inbound=True).size == 2
    assert FrameText("\ud800", is_inbound=True).size == 3
