"""Durable streams: one run for all who ask, a transcript with positions, resume by them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from lunora_rx.devserver import App, AppError, Limits
from lunora_rx.devserver.transcripts import Transcripts
from tests.devserver.peer import new_backend
from tests.devserver.views import Viewer

PATH = "jobs:tokens"


class Tokens:
    """An app with one durable stream, and how often it ran."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.app = App(limits=limits)
        self.app.authenticate(lambda token: token)
        self.runs = 0
        self.fails = False
        self.app.stream(PATH, durable=True)(self.tokens)

    def tokens(self, ctx, to: int = 3):
        self.runs += 1
        for number in range(1, to + 1):
            yield f"t{number}"
        if self.fails:
            raise AppError("BROKEN", "no more")


@pytest.fixture
def tokens():
    return Tokens()


@pytest.fixture
def backend(tokens):
    backend = new_backend(tokens.app)
    yield backend
    backend.close()


def stored_chunks(directory, backend) -> int:
    """Return how many chunks the database of the default shard holds, once it is open."""
    backend.shard()
    with closing(sqlite3.connect(next(directory.glob("*.sqlite3")))) as database:
        count: int = database.execute("SELECT count(*) FROM chunks").fetchone()[0]
    return count


def test_durable_stream_is_chunks_with_seq_and_generation(backend):
    """Positions count from 1, and name the run."""
    frames = Viewer(backend).stream("stream_1", PATH, {"to": 2})
    generation = frames[0]["generation"]
    assert frames == [
        {"type": "chunk", "id": "stream_1", "data": "t1", "seq": 1, "generation": generation},
        {"type": "chunk", "id": "stream_1", "data": "t2", "seq": 2, "generation": generation},
        {"type": "complete", "id": "stream_1"},
    ]


def test_same_arguments_are_the_same_run(backend, tokens):
    """Whoever asks later gets the transcript; other arguments are another run."""
    first = Viewer(backend).stream("stream_1", PATH)
    again = Viewer(backend).stream("stream_7", PATH, {})
    assert [frame | {"id": ""} for frame in again] == [frame | {"id": ""} for frame in first]
    Viewer(backend).stream("stream_1", PATH, {"to": 1})
    assert tokens.runs == 2


def test_run_belongs_to_the_subject_that_started_it(backend, tokens):
    """Nobody reads what was said to somebody else."""
    frames = [Viewer(backend, token=token).stream("stream_1", PATH) for token in ("ada", "bob", None, "ada")]
    generations = [each[0]["generation"] for each in frames]
    assert len(set(generations)) == tokens.runs == 3
    assert generations[0] == generations[3]


@pytest.mark.parametrize(("since", "rest"), [(0, ["t1", "t2", "t3"]), (1, ["t2", "t3"]), (3, [])])
def test_resume_gets_the_chunks_after_its_position(backend, tokens, since, rest):
    """What was read is not sent again; a transcript read to its end is completed."""
    generation = Viewer(backend).stream("stream_1", PATH)[0]["generation"]
    back = Viewer(backend)
    back.stream("stream_1", PATH, None, sinceChunk=since, generation=generation)
    assert (back.chunks.get("stream_1", []), back.completed, tokens.runs) == (rest, ["stream_1"], 1)


@pytest.mark.parametrize(
    "position",
    [
        {"sinceChunk": 1, "generation": "another"},
        {"sinceChunk": 1, "generation": None},
        {"sinceChunk": 1},
        {"sinceChunk": 4, "generation": "own"},
        {"sinceChunk": -1, "generation": "own"},
    ],
)
def test_resume_of_another_run_is_interrupted(backend, position):
    """A position that is not one of this run is refused, not guessed at."""
    generation = Viewer(backend).stream("stream_1", PATH)[0]["generation"]
    if position.get("generation") == "own":
        position = position | {"generation": generation}
    back = Viewer(backend)
    back.stream("stream_1", PATH, None, **position)
    assert (back.errors, back.chunks) == ({"stream_1": "STREAM_INTERRUPTED"}, {})


def test_resume_of_no_run_is_interrupted(backend, tokens):
    """Nothing runs because somebody thinks that it did."""
    viewer = Viewer(backend)
    viewer.stream("stream_1", PATH, None, sinceChunk=1, generation="g")
    assert (viewer.errors, tokens.runs) == ({"stream_1": "STREAM_INTERRUPTED"}, 0)


def test_failed_run_is_told_to_who_resumes_and_runs_anew_for_who_starts(backend, tokens):
    """Its transcript and its error stay until somebody tries again."""
    tokens.fails = True
    viewer = Viewer(backend)
    generation = viewer.stream("stream_1", PATH)[0]["generation"]
    back = Viewer(backend)
    back.stream("stream_1", PATH, None, sinceChunk=2, generation=generation)
    assert (back.chunks, back.errors) == ({"stream_1": ["t3"]}, {"stream_1": "BROKEN"})
    tokens.fails = False
    again = Viewer(backend)
    assert again.stream("stream_1", PATH)[0]["generation"] != generation
    assert (again.completed, tokens.runs) == (["stream_1"], 2)


def test_run_outlives_its_socket_and_waits_for_no_reader():
    """The producer goes to its end although nobody reads, and memory holds no more than for any socket."""
    tokens = Tokens(Limits(queued_bytes=8000))
    backend = new_backend(tokens.app)
    viewer = Viewer(backend)
    query = {"functionPath": PATH, "args": {"to": 500}}
    viewer.send({"type": "stream", "id": "stream_1", "query": query})
    assert len(backend.shard().runs) == 0
    assert viewer.session.queued_bytes < 1200
    half = viewer.take()
    viewer.session.close()
    back = Viewer(backend)
    position = {"sinceChunk": half[-1]["seq"], "generation": half[-1]["generation"]}
    back.stream("stream_1", PATH, {"to": 500}, **position)
    assert viewer.chunks["stream_1"] + back.chunks["stream_1"] == [f"t{number}" for number in range(1, 501)]
    assert (back.completed, tokens.runs) == (["stream_1"], 1)


def test_reader_of_a_transcript_that_is_replaced_is_interrupted():
    """A failed run that starts anew takes the old chunks with it, and who was reading them is told."""
    tokens = Tokens(Limits(queued_bytes=8000))
    tokens.fails = True
    backend = new_backend(tokens.app)
    slow = Viewer(backend)
    slow.send({"type": "stream", "id": "stream_1", "query": {"functionPath": PATH, "args": {"to": 100}}})
    Viewer(backend).stream("stream_1", PATH, {"to": 100})
    slow.drain()
    assert slow.errors == {"stream_1": "STREAM_INTERRUPTED"}


def test_run_beyond_the_limit_fails():
    """A transcript is bounded, and says so."""
    tokens = Tokens(Limits(run_chunks=2))
    viewer = Viewer(new_backend(tokens.app))
    viewer.stream("stream_1", PATH)
    assert (viewer.chunks, viewer.errors) == ({"stream_1": ["t1", "t2"]}, {"stream_1": "PAYLOAD_TOO_LARGE"})


def test_old_transcripts_are_forgotten():
    """Beyond the retention the oldest run is gone: a resume is interrupted, a start runs it anew."""
    tokens = Tokens(Limits(transcript_retention=2))
    backend = new_backend(tokens.app)
    viewer = Viewer(backend)
    generation = viewer.stream("stream_1", PATH, {"to": 1})[0]["generation"]
    for to in (2, 3):
        viewer.stream("stream_1", PATH, {"to": to})
    viewer.stream("stream_1", PATH, {"to": 1}, sinceChunk=1, generation=generation)
    assert viewer.errors == {"stream_1": "STREAM_INTERRUPTED"}
    viewer.stream("stream_1", PATH, {"to": 1})
    assert tokens.runs == 4


def test_unsubscribed_reader_leaves_and_the_transcript_stays(backend, tokens):
    """To cancel a durable stream detaches one reader."""
    viewer = Viewer(backend)
    viewer.send({"type": "stream", "id": "stream_1", "query": {"functionPath": PATH}})
    viewer.send({"type": "unsubscribe", "id": "stream_1"})
    viewer.drain()
    Viewer(backend).stream("stream_1", PATH)
    assert tokens.runs == 1


def test_finished_run_survives_a_restart(tokens, tmp_path):
    """The transcript is in the database."""
    backend = new_backend(tokens.app, storage=tmp_path)
    generation = Viewer(backend).stream("stream_1", PATH)[0]["generation"]
    backend.close()
    later = new_backend(tokens.app, storage=tmp_path)
    viewer = Viewer(later)
    viewer.stream("stream_1", PATH, None, sinceChunk=1, generation=generation)
    assert (viewer.chunks, viewer.completed, tokens.runs) == ({"stream_1": ["t2", "t3"]}, ["stream_1"], 1)
    later.close()


def test_unfinished_run_does_not_survive_a_kill(tokens, tmp_path):
    """What a killed server has left of it is forgotten: nobody can go on with its generator."""
    backend = new_backend(tokens.app, storage=tmp_path)
    frames = Viewer(backend).stream("stream_1", PATH)
    backend.close()
    with sqlite3.connect(next(tmp_path.glob("*.sqlite3"))) as database:
        database.execute("UPDATE runs SET is_finished = 0")
    database.close()
    later = new_backend(tokens.app, storage=tmp_path)
    assert stored_chunks(tmp_path, later) == 0
    viewer = Viewer(later)
    viewer.stream("stream_1", PATH, None, sinceChunk=1, generation=frames[0]["generation"])
    assert viewer.errors == {"stream_1": "STREAM_INTERRUPTED"}
    viewer.stream("stream_1", PATH)
    assert tokens.runs == 2
    later.close()


@pytest.mark.parametrize("restart", ["begin_epoch", "erase", "forget_streams"])
def test_what_a_restart_does_to_transcripts(backend, tokens, restart):
    """Finished ones live as long as the tables do."""
    generation = Viewer(backend).stream("stream_1", PATH)[0]["generation"]
    getattr(backend, restart)()
    viewer = Viewer(backend)
    viewer.stream("stream_1", PATH, None, sinceChunk=3, generation=generation)
    expected = {} if restart == "begin_epoch" else {"stream_1": "STREAM_INTERRUPTED"}
    assert viewer.errors == expected


@pytest.mark.parametrize("full", [("append",), ("append", "finish")])
def test_run_that_cannot_be_stored_fails_and_runs_anew(backend, tokens, monkeypatch, full):
    """A full disk is told as such; what it has left is no run."""

    def refuse(*given, **more):
        raise sqlite3.OperationalError("database or disk is full")

    for name in full:
        monkeypatch.setattr(Transcripts, name, refuse)
    viewer = Viewer(backend)
    viewer.stream("stream_1", PATH)
    assert (viewer.errors, len(backend.shard().runs)) == ({"stream_1": "SHARD_ERROR"}, 0)
    monkeypatch.undo()
    viewer.stream("stream_1", PATH)
    assert (viewer.completed, tokens.runs) == (["stream_1"], 2)
