"""The model can fail: each client with a known defect is caught by it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from lunora_rx.core import results, row_places
from lunora_rx.core.delta import Merger, RowMerge
from lunora_rx.core.pacing import Pacing
from lunora_rx.core.results import Result
from lunora_rx.core.session import Session
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.devserver.store import Store
from lunora_rx.protocol.values import UNDEFINED
from tests.model.client import ClientSettings
from tests.model.machine import Schedules
from tests.model.world import World

Breaking = Callable[[pytest.MonkeyPatch], None]

SEARCH = settings(
    max_examples=400,
    stateful_step_count=50,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    report_multiple_bugs=False,
)


def drop_placement_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """New rows go to the end, whatever their time."""

    def merge(base: Any, row_delta: Any) -> Any:
        place, row_places.RowPlaces._place_of_new = row_places.RowPlaces._place_of_new, lambda self, row: len(self.rows)
        try:
            return Merger().merge(base, row_delta)
        finally:
            row_places.RowPlaces._place_of_new = place

    _merge_otherwise(monkeypatch, merge)


def keep_cursor_without_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is forgotten with the socket, the cursor is not, and the client resumes from it."""

    def go_stale(result: Result, original: Any = Result.go_stale) -> Any:
        change = original(result)
        result.base = result.shown = None
        return change

    position = property(lambda result: None if result.cursor is None else (result.cursor, result.epoch))
    monkeypatch.setattr(Result, "go_stale", go_stale)
    monkeypatch.setattr(Result, "resume_position", position)


def merge_over_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that cannot be read is skipped, and the deltas after it are merged all the same."""

    def fail_behind(result: Result, error: Any, original: Any = Result.fail_behind) -> Any:
        change = original(result, error)
        result.is_behind = False
        return change

    monkeypatch.setattr(Result, "fail_behind", fail_behind)


def lose_unsubscribe_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frame that ends a subscription ends another one."""
    monkeypatch.setattr(Subscription, "encode_unsubscribe", lambda self: '{"type":"unsubscribe","id":"sub_0"}')


def resume_without_subscribing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first few subscriptions are asked for again when a socket opens."""

    def next_to_send(pacing: Pacing, now: float, original: Any = Pacing.next_to_send) -> Any:
        while len(pacing._waiting) > 3:
            pacing._waiting.popitem()
        return original(pacing, now)

    monkeypatch.setattr(Pacing, "next_to_send", next_to_send)


def take_cursor_for_the_highest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions only ever grow, although an epoch may begin lower, and the epoch is never renewed."""
    original = Result.apply_value

    def apply_value(result: Result, frame: Any, *, tagged: bool) -> Any:
        before, epoch = result.cursor or 0, result.epoch
        change = original(result, frame, tagged=tagged)
        result.cursor = None if result.cursor is None else max(result.cursor, before)
        result.epoch = epoch or result.epoch
        return change

    monkeypatch.setattr(Result, "apply_value", apply_value)


def never_find_a_silent_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The liveness limit is a year."""
    monkeypatch.setattr("lunora_rx.core.connection.LIVENESS_INTERVALS", 1e6)


def ignore_what_cannot_be_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delta that cannot be merged counts as merged."""
    _merge_otherwise(monkeypatch, lambda base, change: Merger().merge(base, change) or RowMerge(base, base, ()))


def repeat_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not know a mutation id again."""
    monkeypatch.setattr(Store, "recorded", lambda self, space, mutation_id: None)
    monkeypatch.setattr(Store, "record", lambda self, space, mutation_id, reply: None)


def keep_values_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one user saw stays on the screen as stale when another signs in, until the server says more."""

    def forget(result: Result, keeps: Any = (), original: Any = Result.forget) -> None:
        base = result.base
        original(result, keeps)
        if base is not UNDEFINED:
            result.seed(base, None, None)

    monkeypatch.setattr(Result, "forget", forget)


def resume_where_another_user_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that is another user's goes on from the values that the former one has told."""
    monkeypatch.setattr(Session, "forget_positions", lambda session: None)


def _merge_otherwise(monkeypatch: pytest.MonkeyPatch, merge: Callable[[Any, Any], RowMerge | None]) -> None:
    # The client's merge only: the server asks the same code whether a delta will do.
    monkeypatch.setattr(results, "Merger", lambda: SimpleNamespace(merge=merge))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "breaking",
    [
        drop_placement_rule,
        keep_cursor_without_value,
        resume_without_subscribing,
        take_cursor_for_the_highest,
    ],
)
def test_random_schedules_with_a_broken_client_fail(breaking: Breaking, monkeypatch: pytest.MonkeyPatch):
    """A few hundred random schedules are more than enough to find the defect."""
    breaking(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Schedules, settings=SEARCH)


def write_over_a_gap(world: World) -> None:
    """A delta is spoilt, the next one arrives whole."""
    world.go_live()
    world.write(0, "", [("put", "r4", "a", 4)])
    world.write(0, "", [("put", "r5", "a", 4)])
    for place in range(6):
        world.spoil(0, place)
    world.flow()


def send_what_cannot_be_merged(world: World) -> None:
    """A delta lacks its row."""
    world.go_live()
    world.damage(0, 0, "unmergeable")


def leave(world: World) -> None:
    """An observer leaves a query that the server knows."""
    world.go_live()
    world.unsubscribe(0, 0)


def lose_the_server(world: World) -> None:
    """A connection is dead, and nobody knows."""
    world.go_live()
    world.cut(0, "nobody")


def write_twice(world: World) -> None:
    """A write is repeated because its reply did not come."""
    world.send_write(0)
    world.carry(0)
    world.give_up(0)
    world.write_again(0)


def change_user(world: World) -> None:
    """Somebody else signs in."""
    world.sign_in(0, "alice")
    world.go_live(["who"])
    world.sign_in(0, "bob")


def change_the_socket_token(world: World) -> None:
    """Sockets open as somebody else, and nobody signs in."""
    world.go_live(["who"])
    world.use_socket_token(0, "alice")


@pytest.mark.parametrize(
    ("breaking", "schedule"),
    [
        (ignore_what_cannot_be_merged, send_what_cannot_be_merged),
        (keep_values_of_another_user, change_user),
        (lose_unsubscribe_frame, leave),
        (merge_over_a_gap, write_over_a_gap),
        (never_find_a_silent_peer, lose_the_server),
        (repeat_writes, write_twice),
        (resume_where_another_user_was, change_the_socket_token),
    ],
)
def test_schedule_for_a_defect_fails_with_it_only(breaking: Breaking, schedule: Callable[[World], None]):
    """A defect that chance finds late is found by a schedule made for it, which passes without the defect."""
    check_fails_with_it_only(breaking, schedule)


def check_fails_with_it_only(
    breaking: Breaking, schedule: Callable[[World], None], client: ClientSettings | None = None
) -> None:
    """Run a schedule without a defect and with it: only then does it fail."""
    clients = [client or ClientSettings()]
    sound = World(clients)
    schedule(sound)
    sound.settle()
    with pytest.MonkeyPatch.context() as monkeypatch:
        breaking(monkeypatch)
        broken = World(clients)
        with pytest.raises(AssertionError):  # noqa: PT012 - the defect may show at any step
            schedule(broken)
            broken.settle()
    for world in (sound, broken):
        world.backend.close()
