"""The model can fail where it holds shapes or follows streams: each client with a known defect is caught by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from lunora_rx.core import shapes
from lunora_rx.core.shapes import Shape, Shapes, Slice
from lunora_rx.core.streams import Stream
from lunora_rx.errors import CodecError
from lunora_rx.protocol.frames import PokeEnd
from tests.model.shape_machine import ShapeSchedules
from tests.model.streams import DURABLE
from tests.model.test_broken import SEARCH, Breaking, check_fails_with_it_only
from tests.model.world import World

SAME_EVERY_TIME = settings(SEARCH, derandomize=True)


def apply_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a part brings is shown at once."""

    def receive_part(core: Shapes, frame: Any, tagged: bool, original: Any = Shapes._receive_part) -> None:
        original(core, frame, tagged)
        poke = core._pokes.get(frame["pokeId"])
        shape = core.find(frame["shapeId"])
        if poke is not None and shape is not None:
            core._apply(shape, poke.slices.pop(frame["shapeId"]), poke.start, PokeEnd(frame["pokeId"]))

    monkeypatch.setattr(Shapes, "_receive_part", receive_part)


def notice_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every slice fits, whatever it builds on."""
    monkeypatch.setattr(Shape, "is_cut_off", lambda shape, part, epoch: False)


def notice_no_other_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice of another history fits, if only it names no other checkpoint."""
    original = Shape.is_cut_off
    monkeypatch.setattr(Shape, "is_cut_off", lambda shape, part, epoch: original(shape, part, None))


def keep_rows_on_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The complete membership is laid over what was there."""

    def apply(shape: Shape, part: Slice, ops: Any, end: Any, original: Any = Shape.apply) -> Any:
        part.is_reset = False
        return original(shape, part, ops, end)

    monkeypatch.setattr(Shape, "apply", apply)


def advance_past_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that cannot be read moves the checkpoint all the same."""

    def apply(core: Shapes, shape: Shape, part: Slice, start: Any, end: Any, original: Any = Shapes._apply) -> None:
        original(core, shape, part, start, end)
        if isinstance(shape.error, CodecError):
            shape.checkpoint, shape.epoch = end.checkpoint, end.epoch

    monkeypatch.setattr(Shapes, "_apply", apply)


def skip_parts_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A malformed part is left out, and the rest of its slice applied."""
    monkeypatch.setattr(Shapes, "_spoil", lambda core, frame: None)


def build_on_a_seed_that_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows a membership that could not be read is taken for all there is."""
    monkeypatch.setattr(Shape, "lacks_seed", property(lambda shape: False, lambda shape, lacks: None), raising=False)


def keep_pokes_over_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pokes of a socket that is gone go on with the frames of the next."""

    def forget_socket(core: Shapes, original: Any = Shapes.forget_socket) -> None:
        pokes = dict(core._pokes)
        original(core)
        core._pokes.update(pokes)

    monkeypatch.setattr(Shapes, "forget_socket", forget_socket)


def keep_rows_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows stay on the screen when somebody else signs in."""
    monkeypatch.setattr(Shapes, "forget_values", lambda core: None)


def release_locally(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is not told that a shape was given up."""
    monkeypatch.setattr(Shapes, "unsubscribe", lambda core, shape_id: core._shapes.pop(shape_id, None))


def move_updated_rows_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that changes loses its place."""

    def apply_ops(rows: Any, ops: Any, original: Any = shapes._apply_ops) -> Any:
        read = list(ops)
        applied = original(rows, read)
        for _, key, _ in read:
            if key in rows:
                rows[key] = rows.pop(key)
        return applied

    monkeypatch.setattr(shapes, "_apply_ops", apply_ops)


def ask_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shape is asked for twice when a socket opens."""

    def frames_on_open(core: Shapes, original: Any = Shapes.frames_on_open) -> list[str]:
        frames: list[str] = original(core)
        return [*frames, *(each for each in frames if "shape_subscribe" in each)]

    monkeypatch.setattr(Shapes, "frames_on_open", frames_on_open)


def give_durable_streams_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that has lost its socket fails, durable or not."""
    monkeypatch.setattr(Stream, "can_resume", False)


def take_chunks_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is carried on is told from its beginning, and takes all of it for news."""

    def encode_start(stream: Stream, shard: str, original: Any = Stream.encode_start) -> str:
        stream.position = 0 if stream.has_begun else None
        return str(original(stream, shard))

    monkeypatch.setattr(Stream, "encode_start", encode_start)


def close_the_socket_of_a_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape does not keep its socket from being closed as idle."""
    monkeypatch.setattr(Shapes, "is_needed", False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("breaking", "complaint"),
    [
        (apply_before_the_end, "before its poke has ended"),
        (ask_twice, "asked for twice"),
        (close_the_socket_of_a_shape, "the core has forgotten it"),
        (keep_rows_of_another_user, "of the former user"),
        (keep_rows_on_reset, "shows|the server had"),
        (move_updated_rows_to_the_end, "its observers see else"),
        (notice_no_gap, "the server had|never at"),
    ],
)
def test_random_shapes_with_a_broken_client_fail(breaking: Breaking, complaint: str, monkeypatch: pytest.MonkeyPatch):
    """A few hundred random schedules are more than enough to find the defect, and to say what it is."""
    breaking(monkeypatch)
    with pytest.raises(AssertionError, match=complaint):
        run_state_machine_as_test(ShapeSchedules, settings=SAME_EVERY_TIME)


def give_one_up(world: World) -> None:
    """A shape that the server knows is held no more."""
    world.shapes.go_live()
    world.shapes.release(0, 0)


def send_a_poke_with_a_bad_part(world: World) -> None:
    """Of two parts for one shape, the second is malformed."""
    world.shapes.go_live()
    world.shapes.damage(0, 0, "malformed part")


def send_a_poke_of_another_history(world: World) -> None:
    """A poke names an epoch that the rows are not of, and no checkpoint."""
    world.shapes.go_live()
    world.shapes.damage(0, 0, "other epoch")


def spoil_the_seed(world: World) -> None:
    """The complete membership cannot be read, the poke after it can."""
    world.go_live([])
    world.shapes.spoil_rows(1)
    world.shapes.subscribe(0, "group a")
    world.flow()
    world.shapes.nudge("")
    world.flow()


def send_a_poke_with_a_bad_row(world: World) -> None:
    """One row of a poke cannot be read."""
    world.shapes.go_live()
    world.shapes.damage(0, 0, "undecodable row")


def cut_a_poke(world: World) -> None:
    """A socket is lost between the frames of a poke."""
    world.shapes.go_live()
    world.shapes.cut_poke(0, 2)


def cut_a_stream(world: World) -> None:
    """A socket is lost between the chunks of a durable stream."""
    world.go_live([])
    world.shapes.go_live()
    world.start_stream(0, DURABLE, 4)
    world.deliver(0, "up", 1)
    world.deliver(0, "down", 2)
    world.cut(0)


@pytest.mark.parametrize(
    ("breaking", "schedule"),
    [
        (advance_past_what_cannot_be_read, send_a_poke_with_a_bad_row),
        (build_on_a_seed_that_was_missed, spoil_the_seed),
        (give_durable_streams_up, cut_a_stream),
        (keep_pokes_over_sockets, cut_a_poke),
        (notice_no_other_epoch, send_a_poke_of_another_history),
        (release_locally, give_one_up),
        (skip_parts_that_cannot_be_read, send_a_poke_with_a_bad_part),
        (take_chunks_twice, cut_a_stream),
    ],
)
def test_schedule_for_a_defect_of_shapes_or_streams_fails_with_it_only(
    breaking: Breaking, schedule: Callable[[World], None]
):
    """A defect that chance finds late is found by a schedule made for it, which passes without the defect."""
    check_fails_with_it_only(breaking, schedule)
