"""The layers of mutations over live queries, from composing to verdict."""

from __future__ import annotations

import pytest

from lunora_rx.core.events import MutationSettled, SnapshotChanged, TransformFailed, ValueChanged
from lunora_rx.protocol.wire import TAG
from tests.core.played_writes import PlayedWrites


def add(item):
    return lambda rows: rows if item in rows else [*rows, item]


@pytest.fixture
def played() -> PlayedWrites:
    """A client over an open socket."""
    return PlayedWrites()


def notes(played: PlayedWrites, *, shard: str = "") -> str:
    """Watch the notes, of which there is one, at cursor 1; return the query's key."""
    return played.watch("notes", shard=shard, value=["a"])


def patch(played: PlayedWrites, name: str, item: str, **composition):
    """Compose a write to the notes that patches them."""
    return played.mutate(name, function_path="notes:list", optimistic=add(item), **composition)


def shows(events):
    """Return what observers of queries are told: the value and the number of layers."""
    shown = []
    for event in events:
        if isinstance(event, ValueChanged):
            shown.append((event.value, event.pending_layers))
        elif isinstance(event, SnapshotChanged):
            shown.append((event.snapshot.value, event.snapshot.pending_layers))
    return shown


# --- composing


def test_optimistic_patch_is_shown_before_the_write_is_sent(played):
    """The query with the mutation's own function, arguments and shard shows it at once."""
    key = notes(played)
    snapshot, *_ = patch(played, "m1", "b")
    assert (snapshot.key, snapshot.snapshot.value, snapshot.snapshot.is_optimistic) == (key, ["a", "b"], True)


@pytest.mark.parametrize("elsewhere", [{"args": {"n": 1}}, {"shard": "room"}])
def test_optimistic_patch_of_a_query_that_is_not_watched_shows_nothing(played, elsewhere):
    """Other arguments or another shard are another query."""
    notes(played)
    assert shows(patch(played, "m1", "b", **elsewhere)) == []
    assert shows(played.reply()) == []


def test_optimistic_patch_that_raises_is_reported_and_the_write_goes_on(played):
    """Nothing of it is left behind."""
    key = notes(played)
    failed, *_ = played.mutate("m1", function_path="notes:list", optimistic=lambda rows: rows.nothing)
    assert isinstance(failed, TransformFailed)
    assert (played.shown(key), played.sent()) == (["a"], [["m1"]])


def test_optimistic_update_shows_all_its_patches_in_one_step(played):
    """One event a query, however often it was set, after the update returned."""
    notes(played)
    tags = played.watch("tags", value=[1])

    def update(store):
        store.set_query("notes:list", None, ["x"])
        store.set_query("tags:list", None, [*store.get_query("tags:list"), 2])
        store.set_query("notes:list", None, [*store.get_query("notes:list"), "y"])
        assert not played.core.events

    events = played.mutate("m1", optimistic_update=update)
    assert shows(events) == [(["x", "y"], 2), ([1, 2], 1)]
    assert shows(played.reply({"error": {"code": "CONFLICT"}}, 409)) == [(["a"], 0), ([1], 0)]
    assert played.shown(tags) == [1]


def test_optimistic_update_that_raises_leaves_its_patches_behind_but_not_those_of_others(played):
    """Its own go, last first; the write's single patch stays, and the write goes on."""
    key, error = notes(played), ValueError("no")

    def update(store):
        store.set_query("notes:list", None, ["x"])
        raise error

    events = patch(played, "m1", "b", optimistic_update=update)
    assert TransformFailed(error) in events
    assert shows(events) == [(["a", "b"], 1)]
    assert (played.shown(key), played.sent()) == (["a", "b"], [["m1"]])


def test_transform_that_raises_over_a_later_value_is_skipped_and_reported(played):
    """The others are shown."""
    key = notes(played)
    played.mutate("m1", function_path="notes:list", optimistic=lambda rows: [rows[0]])
    patch(played, "m2", "b")
    events = played.data(key, [], 2)
    assert isinstance(events[0], TransformFailed)
    assert isinstance(events[0].error, IndexError)
    assert played.shown(key) == ["b"]


# --- verdicts


def test_verdict_before_the_frame_keeps_the_layer_until_the_frame(played):
    """Compose, unrelated delta, reply, confirming frame: each intended value, and no other."""
    key = notes(played)
    told = shows(patch(played, "m1", "b"))
    told += shows(played.data(key, ["a", "z"], 5))
    told += shows(played.reply({"result": 1, "commitCursor": 9}))
    told += shows(played.data(key, ["a", "z", "b"], 9))
    assert told == [(["a", "b"], 1), (["a", "z", "b"], 1), (["a", "z", "b"], 0)]


def test_frame_before_the_verdict_keeps_the_layer_until_the_verdict(played):
    """An idempotent transform shows no difference."""
    key = notes(played)
    told = shows(patch(played, "m1", "b"))
    told += shows(played.data(key, ["a", "b"], 9))
    told += shows(played.reply({"result": 1, "commitCursor": 9}))
    assert told == [(["a", "b"], 1), (["a", "b"], 1), (["a", "b"], 0)]


@pytest.mark.parametrize("kind", ["settled", "resume"])
def test_commit_that_changes_nothing_of_a_query_is_confirmed_by_its_position(played, kind):
    """No value follows, so the frame that moves the cursor takes the layer away."""
    key = notes(played)
    patch(played, "m1", "b")
    played.reply({"result": 1, "commitCursor": 4})
    assert shows(played.data(key, None, 3, kind=kind)) == []
    assert shows(played.data(key, None, 4, kind=kind)) == [(["a"], 0)]


def test_verdict_without_a_cursor_takes_the_layer_and_leaves_the_value(played):
    """A server without a change log: the next frame says what is true."""
    key = notes(played)
    patch(played, "m1", "b")
    assert shows(played.reply()) == [(["a", "b"], 0)]
    played.data(key, ["a", "c"], 2)
    assert played.shown(key) == ["a", "c"]


def test_refusal_rolls_back_every_layer_of_the_write_before_its_verdict(played):
    """One step a query; the layers of other writes stay."""
    notes(played)
    patch(played, "m1", "b")
    patch(played, "m2", "c")
    rolled_back, settled = played.reply({"error": {"code": "CONFLICT"}}, 409)
    assert shows([rolled_back]) == [(["a", "c"], 1)]
    assert isinstance(settled, MutationSettled)


def test_result_that_cannot_be_decoded_confirms_the_layers(played):
    """The write was carried out."""
    key = notes(played)
    patch(played, "m1", "b")
    (settled,) = played.reply({"result": [TAG, "date"], "commitCursor": 5})
    assert settled.outcome.undecodable is not None
    assert shows(played.data(key, ["a", "B"], 5)) == [(["a", "B"], 0)]


def test_layers_of_a_write_that_waits_stay_until_its_verdict(played):
    """Through the drop, the queue, the cancel of another and the replay."""
    key = notes(played)
    played.drop()
    patch(played, "m1", "b")
    patch(played, "m2", "c")
    assert played.core.cancel_mutation("m2")
    assert shows(played.core.take_events()) == [(["a", "b"], 1)]
    assert not played.core.cancel_mutation("m2")
    played.open()
    played.lose()
    assert played.shown(key) == ["a", "b"]
    played.retry()
    played.refuse("CONFLICT", 409)
    assert played.shown(key) == ["a"]


def test_layer_of_a_query_that_was_given_up_meanwhile_shows_nothing(played):
    """Also where the key is watched anew: that is another subscription, whose value is the server's."""
    key = notes(played)
    patch(played, "m1", "b")
    patch(played, "m2", "c")
    played.core.unsubscribe(key, "", played.now)
    played.core.take_events()
    assert shows(played.refuse("CONFLICT", 409)) == []
    notes(played)
    assert shows(played.reply({"result": 1, "commitCursor": 1})) == []
    assert played.shown(key) == ["a"]


def test_layer_of_a_shard_that_was_given_up_meanwhile_shows_nothing(played):
    """The verdict is told all the same."""
    key = notes(played, shard="room")
    patch(played, "m1", "b", shard="room")
    played.core.unsubscribe(key, "room", 0.0)
    played.core.handle_deadline(5.0)
    played.core.take_events()
    assert [type(each) for each in played.refuse("CONFLICT", 409)] == [MutationSettled]


class Interrupted(BaseException):
    """What ends a program, as opposed to what goes wrong in it."""


def interrupted(*_):
    raise Interrupted


@pytest.mark.parametrize("own", [None, add("b")])
def test_optimistic_update_that_is_interrupted_leaves_no_layer(played, own):
    """The mutation is not composed, so nobody would ever take a layer of it away; those of others stay."""
    key = notes(played)
    patch(played, "m0", "z")

    def update(store):
        store.set_query("notes:list", None, ["x"])
        raise Interrupted

    with pytest.raises(Interrupted):
        played.mutate("m1", function_path="notes:list", optimistic=own, optimistic_update=update)
    assert (played.shown(key), len(played.core.find(key, "").result.layers)) == (["a", "z"], 1)
    assert played.sent() == [["m0"]]


def test_optimistic_patch_that_is_interrupted_leaves_no_layer(played):
    """It was not pushed yet."""
    key = notes(played)
    with pytest.raises(Interrupted):
        played.mutate("m1", function_path="notes:list", optimistic=interrupted)
    assert (played.shown(key), played.core.find(key, "").result.layers, played.sent()) == (["a"], (), [])
