"""What is fuzzed: functions of bytes that raise nothing but what they document, whatever they are given."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

from lunora_rx.cli.dashboard.catalog import read_catalog
from lunora_rx.cli.dashboard.fields import fields_of
from lunora_rx.cli.document import read_document
from lunora_rx.codegen import DocumentError, generate
from lunora_rx.errors import CodecError
from lunora_rx.protocol import dumps, loads, stable_wire_key
from lunora_rx.protocol.frame_text import FrameText
from lunora_rx.protocol.http_stream import ChunkReader
from lunora_rx.protocol.preloaded import Preloaded
from lunora_rx.protocol.recording import Kind
from lunora_rx.protocol.rpc import HttpReply
from lunora_rx.protocol.sse import StreamEnd, StreamNews
from lunora_rx.protocol.text import parse, spell
from lunora_rx.recording.answers import Answers
from lunora_rx.recording.contents import Contents
from lunora_rx.recording.file import RecordingFile
from lunora_rx.recording.state import ShardState
from lunora_rx.storage.rows import cached_of_payload, queued_of_payload, seal, unseal
from tests.fuzz import corpus
from tests.fuzz.world import World

LIMIT = 4_096
_SCRATCH = Path(tempfile.gettempdir())


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to fuzz.

    Attributes:
        name: What the command line calls it.
        run: Takes an input; raises only where something is broken.
        seeds: Valid inputs.
        words: Names that mean something to it.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Sequence[bytes]
    words: Sequence[str] = ()


def codec(text: bytes) -> None:
    """Decode; what can be encoded again is the same for good."""
    frame = FrameText(text, is_inbound=True)
    assert frame.size == len(text)
    repr(frame)
    try:
        value = loads(text)
    except CodecError as error:
        if error.code != "WIRE_DECODE_FAILED":
            raise
        return
    try:
        once = dumps(value)
        stable_wire_key(value)
    except CodecError:
        return  # a lone surrogate, or plain JSON that is deeper than the codec goes
    assert dumps(loads(once)) == once


def frames(text: bytes) -> None:
    """Take frames under pending writes; then everything can be asked for again, and still be answered."""
    world = World()
    world.begin()
    world.write("even", "odd")
    for line in text.split(b"\n"):
        world.receive(line)
    world.lose()
    world.receive(b'{"type":"data","id":"sub_2","data":[],"cursor":1,"epoch":"again"}')
    for key in ("key-0", "key-1"):
        world.core.unsubscribe(key, "", world.now)
    world.core.close()
    world.settle()


def replies(text: bytes) -> None:
    """Answer a call, a batch, a session probe, queued writes and a poll with the same reply."""
    head, _, body = text.partition(b"\n")
    status, _, retry = head.decode("latin-1").partition(" ")
    code = int(status) if status in ("200", "204", "301", "400", "401", "413", "429", "500") else 200
    reply = HttpReply(code, {"retry-after": retry, "x-d1-bookmark": retry, "x-lunora-shard-key": retry}, body, 1.7e9)
    for is_cookie_session in (False, True):
        world = World(is_cookie_session=is_cookie_session)
        world.begin()
        world.call()
        world.write("one")
        world.answer(reply)
        world.core.receive_closed("", None, world.now)
        world.write("two", "three", "four")
        for _ in range(5):
            # The attempts fail, so that the shard is polled in the end.
            world.now += 100.0
            world.core.receive_closed("", None, world.now)
            world.core.handle_deadline(world.now)
            world.answer(reply)
        world.core.close()
        world.settle()


def stored(text: bytes) -> None:
    """Read records of a queue and of a read cache, then live with them."""
    try:
        assert unseal(b"key", text) == text[9:]
    except ValueError:
        assert unseal(b"key", seal(b"key", text)) == text
    queued, cached = [], []
    for line in text.split(b"\n"):
        for read, found in ((queued_of_payload, queued), (cached_of_payload, cached)):
            try:
                found.append(read(line))
            except CodecError:
                continue
    world = World()
    world.core.load_reads(cached, world.now)
    world.begin()
    world.core.subscribe("messages:list::{}::", "messages:list", {}, "", world.now)
    world.core.set_auth_token("token", "user_7", world.now)
    world.core.hydrate(queued, world.now)
    world.settle()
    for _ in range(3):
        world.answer(HttpReply(200, {}, b'{"results":[{"id":0,"body":{"result":1}}],"result":1}'))
        world.lose()
    world.core.close()
    world.settle()


def sse(text: bytes) -> None:
    """Read a body in one piece and in many: both say the same, and hold no more than the limit."""
    whole = _news_of([text])
    random = Random(text)
    cuts = sorted(random.randrange(len(text) + 1) for _ in range(8))
    assert _told(whole) == _told(_news_of([text[start:end] for start, end in pairwise([0, *cuts, len(text)])]))


def documents(text: bytes) -> None:
    """Generate from a document, and list it; what is generated is Python."""
    try:
        document = parse(text)
        try:
            for each in read_document(document).methods.values():
                assert isinstance(each.signature, str)
            catalog = read_catalog(document)
            for each in catalog.functions.values():
                fields_of(each.schema)
        finally:
            source = generate(document)
    except (CodecError, DocumentError):
        return
    ast.parse(source)


def recordings(text: bytes) -> None:
    """Read a recording, and stand at its end."""
    with tempfile.NamedTemporaryFile(dir=_SCRATCH, suffix=".jsonl") as file:
        file.write(text)
        file.flush()
        try:
            recording = RecordingFile(file.name)
            contents = Contents(recording)
        except CodecError:
            return
        repr(contents)
        states: dict[str, ShardState] = {}
        for entry in recording.entries():
            repr(entry)
            states.setdefault(entry.shard, ShardState()).apply(entry)
            if entry.kind is Kind.REQUEST:
                Answers(recording, contents).reply(entry.path, entry.text.encode())
        for state in states.values():
            for feed in state.feeds.values():
                feed.frames("sub_9")


def preloaded(text: bytes) -> None:
    """Read a value out of a page; what can be written again is the same."""
    try:
        found = Preloaded.parse(text)
        again = found.serialize()
    except CodecError:
        return
    assert Preloaded.parse(again).serialize() == again


def _news_of(pieces: Sequence[bytes]) -> list[StreamNews]:
    reader = ChunkReader(LIMIT)
    news = reader.receive_head(200, {"content-type": "text/event-stream"})
    for piece in pieces:
        news += reader.receive_bytes(piece)
        held = reader._parser
        assert reader.is_over or len(held._line) + len(held._name) + len(held._data) <= LIMIT
    return news + reader.receive_end()


def _told(news: Sequence[StreamNews]) -> list[str]:
    return [f"{each.error!r}" if isinstance(each, StreamEnd) else spell(each.value) for each in news]


_FRAME_WORDS = [
    "sub_1",
    "sub_2",
    "sub_3",
    "shape_1",
    "stream_1",
    "stream_2",
    "room",
    "cursor",
    "epoch",
    "delta",
    "lastMutationId",
    "seq",
    "generation",
    "pokeId",
    "shapeId",
    "rowsPatch",
    "baseCheckpoint",
    "checkpoint",
    "reset",
    "key",
    "op",
    "table",
    "row",
    "value",
    "insert",
    "delete",
    "page",
    "_id",
    "_creationTime",
    "code",
    "message",
    "subject",
    "topic",
    "from",
    "ack",
    "resume",
    "settled",
    "complete",
    "chunk",
    "pokeStart",
    "pokePart",
    "pokeEnd",
    "identity",
]
_REPLY_WORDS = [
    "results",
    "body",
    "code",
    "message",
    "retryAfterMs",
    "hint",
    "docsUrl",
    "commitCursor",
    "lastMutationId",
    "user",
]
_RECORD_WORDS = [
    "functionPath",
    "args",
    "clientId",
    "shardKey",
    "baselineSeq",
    "version",
    "identity",
    "key",
    "value",
    "ts",
    "credential",
    "serverCursor",
    "serverEpoch",
]
_DOCUMENT_WORDS = [
    "$ref",
    "#/components/schemas/Node",
    "#/components/schemas/Row",
    "properties",
    "items",
    "anyOf",
    "oneOf",
    "allOf",
    "enum",
    "const",
    "required",
    "additionalProperties",
    "description",
    "name",
    "params",
    "result",
    "schema",
    "methods",
    "components",
    "object",
    "array",
    "string",
    "default",
    "x-lunora-function-kind",
    "x-lunora-table",
    "x-lunora-rx-type",
    "format",
    "int64",
    "class",
    "__x",
    "a:b",
]
_RECORDING_WORDS = [
    "t",
    "kind",
    "text",
    "shard",
    "request",
    "path",
    "code",
    "query",
    "functionPath",
    "args",
    "shape_subscribe",
    "subscribe",
    "stream",
    "received",
    "sent",
    "reply",
    "base",
    "lost",
    "opened",
    "functionPath",
]
_HEADS = (b"200", b"429 3", b"500 Wed, 21 Oct 2026 07:28:00 GMT", b"400", b"401", b"413", b"204", b"301")

TARGETS = {
    each.name: each
    for each in (
        Target("codec", codec, corpus.texts(corpus.VALUES), ("bigint", "date", "map", "set", "bytes", "error", "arr")),
        Target("frames", frames, corpus.lines(corpus.FRAMES), _FRAME_WORDS),
        Target(
            "replies",
            replies,
            [head + b"\n" + body for head in _HEADS for body in corpus.texts(corpus.REPLIES)],
            _REPLY_WORDS,
        ),
        Target("stored", stored, [*corpus.texts(corpus.RECORDS), *corpus.lines([corpus.RECORDS])], _RECORD_WORDS),
        Target("sse", sse, corpus.EVENTS, ("event", "complete", "message", "code")),
        Target("documents", documents, corpus.texts(corpus.DOCUMENTS), _DOCUMENT_WORDS),
        Target("recordings", recordings, corpus.lines(corpus.RECORDINGS), [*_RECORDING_WORDS, *_FRAME_WORDS]),
        Target("preloaded", preloaded, corpus.texts(corpus.PRELOADED), ("__lunora", "functionPath", "args", "value")),
    )
}
