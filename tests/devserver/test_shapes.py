"""Shapes: membership by the filter, one poke for each socket and commit, resume by checkpoint."""

from __future__ import annotations

import pytest

from lunora_rx.devserver import Limits
from lunora_rx.devserver.store import Store
from tests.devserver.peer import Peer, call, new_backend
from tests.devserver.views import View, Viewer, put, tasks, tasks_app


def test_cold_subscription_is_seeded_by_one_reset_poke():
    """The complete membership comes as inserts of a poke that resets, with checkpoint and epoch."""
    backend = tasks()
    put(backend, "a", size=1)
    put(backend, "b", done=True)
    start, part, end = Viewer(backend).watch("shape_1", "tasks:open")
    shard = backend.shard()
    assert start == {"type": "pokeStart", "pokeId": 1, "epoch": shard.epoch}
    assert part["type"] == "pokePart"
    assert part["reset"] is True
    assert part["shapeId"] == "shape_1"
    (op,) = part["rowsPatch"]
    assert op | {"value": 0} == {"op": "insert", "key": "a", "table": "tasks", "value": 0}
    assert op["value"]["size"] == 1
    assert end == {"type": "pokeEnd", "pokeId": 1, "checkpoint": shard.cursor, "epoch": shard.epoch}


def test_seed_of_empty_shape_is_a_reset_without_rows():
    """Nothing is told as nothing, not by silence."""
    _, part, _ = Viewer(tasks()).watch("shape_1", "tasks:open")
    assert (part["rowsPatch"], part["reset"]) == ([], True)


def test_large_seed_is_split_into_parts_of_one_poke():
    """No frame holds a whole table."""
    backend = tasks()
    for number in range(501):
        put(backend, f"t{number}")
    viewer = Viewer(backend)
    start, *parts, end = viewer.watch("shape_1", "tasks:open")
    assert [len(part["rowsPatch"]) for part in parts] == [500, 1]
    assert (start["type"], end["type"], len(viewer.views["shape_1"].rows)) == ("pokeStart", "pokeEnd", 501)


@pytest.mark.parametrize(
    ("before", "after", "ops"),
    [
        (None, {"done": False}, ["insert"]),
        ({"done": False}, {"done": False, "size": 2}, ["update"]),
        ({"done": False}, {"done": True}, ["delete"]),
        ({"done": True}, {"done": False}, ["insert"]),
    ],
)
def test_commit_sends_what_it_means_for_the_filter(before, after, ops):
    """A row that leaves the filter is a delete, one that enters it an insert."""
    backend = tasks()
    if before:
        put(backend, "a", **before)
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    base = backend.shard().cursor
    put(backend, "a", **after)
    start, part, end = viewer.drain()
    assert [op["op"] for op in part["rowsPatch"]] == ops
    assert ("value" in part["rowsPatch"][0]) == (ops != ["delete"])
    assert (start["baseCheckpoint"], end["checkpoint"]) == (base, base + 1)
    assert "reset" not in part


def test_deleted_row_is_a_delete():
    """Gone from the table is gone from the shape."""
    backend = tasks()
    put(backend, "a")
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    call(backend, "tasks:remove", {"id": "a"})
    assert viewer.drain()[1]["rowsPatch"] == [{"op": "delete", "key": "a", "table": "tasks"}]


def test_commit_outside_the_filter_sends_nothing():
    """Neither other rows nor other tables concern a shape."""
    backend = tasks()
    put(backend, "a", done=True)
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    put(backend, "a", done=True, size=9)
    call(backend, "members:set", {"id": "ada"})
    assert viewer.drain() == []


def test_one_commit_is_one_poke_with_a_part_for_each_changed_shape():
    """Shapes that a commit left alone have no part; a base of its own stands where shapes differ."""
    backend = tasks()
    viewer = Viewer(backend)
    for shape_id, args in (("shape_1", 1), ("shape_2", 5), ("shape_3", 9)):
        viewer.watch(shape_id, "tasks:big", {"size": args})
    put(backend, "a", size=3)
    start, part, _ = viewer.drain()
    assert part["shapeId"] == "shape_1"
    put(backend, "b", size=7)
    start, one, two, end = viewer.drain()
    assert [one["shapeId"], two["shapeId"]] == ["shape_1", "shape_2"]
    assert start["baseCheckpoint"] == end["checkpoint"] - 1
    assert ("baseCheckpoint" in one, two["baseCheckpoint"]) == (False, end["checkpoint"] - 2)
    assert [view.gaps for view in viewer.views.values()] == [0, 0, 0]


def test_equal_shapes_of_one_socket_are_two_parts():
    """Subscriptions are not deduplicated on the wire, and the shape is one on the server."""
    backend = tasks()
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    viewer.watch("shape_2", "tasks:open", {})
    put(backend, "a")
    assert [frame["type"] for frame in viewer.drain()] == ["pokeStart", "pokePart", "pokePart", "pokeEnd"]
    assert len(backend.shard().shapes) == 1


def test_poke_ids_count_up_and_one_commit_has_one():
    """The counter is the shard's; sockets told by the same commit share a number."""
    backend = tasks()
    one, two = Viewer(backend), Viewer(backend)
    ids = [one.watch("shape_1", "tasks:open")[0]["pokeId"], two.watch("shape_1", "tasks:open")[0]["pokeId"]]
    put(backend, "a")
    assert [*ids, one.drain()[0]["pokeId"], two.drain()[0]["pokeId"]] == [1, 2, 3, 3]


def test_known_checkpoint_gets_only_what_changed_since():
    """A client that was away gets the net change of each row."""
    backend = tasks()
    for task in "abc":
        put(backend, task)
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    viewer.session.close()
    view = viewer.views["shape_1"]
    put(backend, "a", size=1)
    put(backend, "a", size=2)
    put(backend, "b", done=True)
    put(backend, "c", done=True)
    put(backend, "c", done=False, size=3)
    put(backend, "d")
    call(backend, "tasks:remove", {"id": "d"})
    back = Viewer(backend)
    _, part, _ = back.watch("shape_1", "tasks:open", since=view)
    assert "reset" not in part
    assert [(op["op"], op["key"]) for op in part["rowsPatch"]] == [("update", "a"), ("delete", "b"), ("update", "c")]
    assert {key: row["size"] for key, row in view.rows.items()} == {"a": 2, "c": 3}
    assert view.gaps == 0


def test_known_checkpoint_without_changes_gets_an_empty_poke_that_moves_it():
    """The client learns that its rows hold up to now."""
    backend = tasks()
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    view = viewer.views["shape_1"]
    call(backend, "members:set", {"id": "ada"})
    start, part, end = Viewer(backend).watch("shape_1", "tasks:open", since=view)
    assert (start["baseCheckpoint"], end["checkpoint"]) == (backend.shard().cursor - 1, backend.shard().cursor)
    assert (part["rowsPatch"], "reset" in part) == ([], False)


@pytest.mark.parametrize("what", ["other epoch", "no epoch", "text", "from the future", "forgotten", "new epoch"])
def test_unknown_checkpoint_is_reset(what):
    """A checkpoint that cannot be judged gets the complete membership."""
    backend = tasks(Limits(change_retention=4))
    put(backend, "a")
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    view = viewer.views["shape_1"]
    if what == "forgotten":
        for number in range(20):
            put(backend, "b", size=number)
    if what == "new epoch":
        backend.begin_epoch()
    checkpoint = {"text": "c10", "from the future": 99}.get(what, view.checkpoint)
    epoch = {"other epoch": "elsewhere", "no epoch": None}.get(what, view.epoch)
    asking = View(checkpoint=checkpoint, epoch=epoch)
    _, part, end = Viewer(backend).watch("shape_1", "tasks:open", since=asking)
    assert part["reset"] is True
    assert end["epoch"] == backend.shard().epoch


def test_unsubscribed_shape_hears_nothing_more():
    """The last one to leave ends the shape; leaving twice is silent."""
    backend = tasks()
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    for _ in range(2):
        viewer.send({"type": "shape_unsubscribe", "id": "shape_1"})
    put(backend, "a")
    assert viewer.drain() == []
    assert len(backend.shard().shapes) == 0


def test_closed_socket_leaves_its_shapes():
    """A socket that went away costs nothing any more."""
    backend = tasks()
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    viewer.session.close()
    assert len(backend.shard().shapes) == 0


def test_same_id_again_is_seeded_again():
    """A cold subscription over an old one, as after a gap, starts anew and is counted once."""
    backend = tasks()
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    _, part, _ = viewer.watch("shape_1", "tasks:big", {"size": 0})
    assert part["reset"] is True
    put(backend, "a")
    assert len(viewer.drain()) == 3


@pytest.mark.parametrize(
    ("name", "args", "code"),
    [
        ("nothing", None, "NOT_FOUND"),
        ("tasks:big", None, "VALIDATION_ERROR"),
        ("tasks:big", {"size": "x"}, "VALIDATION_ERROR"),
        ("mine", None, "FORBIDDEN"),
        ("tasks:list", None, "INTERNAL"),
    ],
)
def test_unusable_shape_gets_error_of_its_id(name, args, code):
    """Unknown, wrongly asked, refused or broken: the shape is told why."""
    backend = tasks()
    viewer = Viewer(backend)
    (frame,) = viewer.watch("shape_1", name, args)
    assert (frame["type"], frame["id"], frame["error"]["code"]) == ("error", "shape_1", code)


@pytest.mark.parametrize("shape", [{"name": 4}, {}, {"name": "tasks:open", "args": []}])
def test_malformed_shape_frame_gets_bad_subscription_args(shape):
    """What cannot be read is answered by its id."""
    viewer = Viewer(tasks())
    viewer.send({"type": "shape_subscribe", "id": "shape_1", "shape": shape})
    viewer.drain()
    assert viewer.errors == {"shape_1": "BAD_SUBSCRIPTION_ARGS"}


def test_undecodable_shape_args_get_bad_subscription_args():
    """So are arguments that are no wire values."""
    viewer = Viewer(tasks())
    bad = {"name": "tasks:big", "args": {"size": ["$lunora.wire$", "bigint", "x"]}}
    viewer.send({"type": "shape_subscribe", "id": "shape_1", "shape": bad})
    viewer.drain()
    assert viewer.errors == {"shape_1": "BAD_SUBSCRIPTION_ARGS"}


def test_app_without_change_log_refuses_shapes_and_serves_the_rest():
    """The switch turns shapes off and nothing else."""
    backend = tasks(change_log=False)
    put(backend, "a")
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:open")
    assert viewer.errors == {"shape_1": "SHAPE_REQUIRES_CDC"}
    assert call(backend, "tasks:all")["result"][0]["_id"] == "a"


def test_shapes_count_against_the_limit_of_a_connection():
    """Live queries, shapes and streams share one bound."""
    viewer = Viewer(tasks(Limits(subscriptions=1)))
    viewer.watch("shape_1", "tasks:open")
    viewer.watch("shape_2", "tasks:open")
    viewer.watch("shape_1", "tasks:open")
    assert viewer.errors == {"shape_2": "TOO_MANY_SUBSCRIPTIONS"}


def test_definition_that_reads_is_followed():
    """A shape that was refused is seeded once what it has read allows it, and failed when that ends."""
    backend = tasks()
    put(backend, "a", owner="ada")
    put(backend, "b", owner="bob")
    viewer = Viewer(backend, token="ada")
    viewer.watch("shape_1", "mine")
    call(backend, "members:set", {"id": "bob"})
    assert viewer.drain() == []
    call(backend, "members:set", {"id": "ada"})
    assert viewer.drain()[1]["reset"] is True
    assert list(viewer.views["shape_1"].rows) == ["a"]
    call(backend, "members:set", {"id": "ada", "is_member": False})
    (frame,) = viewer.drain()
    assert (frame["type"], frame["error"]["code"]) == ("error", "FORBIDDEN")
    put(backend, "c", owner="ada")
    assert viewer.drain() == []


def test_definition_that_gives_the_same_goes_on_by_row_operations():
    """A commit that touches what the definition has read, and changes nothing of it, is no reset."""
    backend = tasks()
    call(backend, "members:set", {"id": "ada"})
    viewer = Viewer(backend, token="ada")
    viewer.watch("shape_1", "mine")
    call(backend, "members:set", {"id": "ada"})
    assert viewer.drain() == []
    put(backend, "a", owner="ada")
    assert "reset" not in viewer.drain()[1]


def test_changed_definition_is_no_resume():
    """A checkpoint from before the definition's reads changed says nothing about what belongs now."""
    backend = tasks()
    call(backend, "members:set", {"id": "ada"})
    viewer = Viewer(backend, token="ada")
    viewer.watch("shape_1", "mine")
    viewer.session.close()
    call(backend, "members:set", {"id": "ada", "is_member": False})
    call(backend, "members:set", {"id": "ada"})
    call(backend, "members:set", {"id": "ada", "is_member": False})
    back = Viewer(backend, token="ada")
    back.watch("shape_1", "mine", since=viewer.views["shape_1"])
    assert back.errors == {"shape_1": "FORBIDDEN"}


def test_checkpoint_from_before_another_filter_is_reset():
    """Row operations of the new filter over rows of the old one would be wrong for good."""
    backend = followed()
    put(backend, "a", owner="ada")
    put(backend, "b", owner="bob")
    viewer = Viewer(backend)
    viewer.watch("shape_1", "followed")
    viewer.session.close()
    put(backend, "whom", owner="bob")
    back = Viewer(backend)
    assert back.watch("shape_1", "followed", since=viewer.views["shape_1"])[1]["reset"] is True
    assert list(back.views["shape_1"].rows) == ["whom", "b"]


def test_commit_that_touches_definition_and_rows_is_one_part():
    """A row may be both what the definition has read and what it names."""
    backend = followed()
    viewer = Viewer(backend)
    viewer.watch("shape_1", "followed")
    put(backend, "whom", owner="ada", size=2)
    assert [frame["type"] for frame in viewer.drain()] == ["pokeStart", "pokePart", "pokeEnd"]
    put(backend, "whom", owner="bob")
    _, part, _ = viewer.drain()
    assert (part["reset"], list(viewer.views["shape_1"].rows)) == (True, ["whom"])


def followed():
    """Return a backend with a shape that names the tasks of the owner that one task names."""
    app = tasks_app()

    @app.shape("followed")
    def followed_shape(ctx):
        return ctx.db.table("tasks").where(owner=ctx.db.get("tasks", "whom")["owner"])

    backend = new_backend(app)
    put(backend, "whom", owner="ada")
    return backend


def test_predicate_that_raises_fails_the_shape_until_it_can_judge_again():
    """The commit itself goes through, the error is told once, and a reset heals the shape."""
    backend = tasks()
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:odd")
    put(backend, "a", size="none")
    (frame,) = viewer.drain()
    assert (frame["id"], frame["error"]["code"]) == ("shape_1", "INTERNAL")
    put(backend, "b", size=1)
    assert viewer.drain() == []
    call(backend, "tasks:remove", {"id": "a"})
    assert viewer.drain()[1]["reset"] is True
    assert list(viewer.views["shape_1"].rows) == ["b"]


def test_predicate_that_raises_about_the_past_is_answered_by_a_reset():
    """A row of the log that cannot be judged is no reason to refuse a resume."""
    backend = tasks()
    viewer = Viewer(backend)
    viewer.watch("shape_1", "tasks:odd")
    viewer.session.close()
    put(backend, "a", size="none")
    put(backend, "a", size=1)
    put(backend, "b", size="none")
    call(backend, "tasks:remove", {"id": "b"})
    put(backend, "a", size="none")
    since = View(checkpoint=backend.shard().cursor, epoch=backend.shard().epoch)
    put(backend, "a", size=3)
    back = Viewer(backend)
    assert back.watch("shape_1", "tasks:odd", since=since)[1]["reset"] is True
    assert list(back.views["shape_1"].rows) == ["a"]


def test_failed_shape_is_defined_again_for_a_new_subscriber():
    """A failure with a cause outside the tables heals with the next one who asks, for all who watch."""
    app, outside = tasks_app(), {"is_up": False}

    @app.shape("outside")
    def outside_shape(ctx):
        if not outside["is_up"]:
            raise RuntimeError("down")
        return ctx.db.table("tasks")

    backend = new_backend(app)
    first, second = Viewer(backend), Viewer(backend)
    first.watch("shape_1", "outside")
    outside["is_up"] = True
    second.watch("shape_1", "outside")
    first.drain()
    assert (first.errors, second.errors) == ({"shape_1": "INTERNAL"}, {})
    assert first.views["shape_1"].resets == second.views["shape_1"].resets == 1


def test_commit_costs_what_it_changes_and_not_what_the_shape_holds(monkeypatch):
    """Once a shape is seeded no commit reads its table, and the row is judged and encoded alone."""
    backend = tasks()
    for number in range(50):
        put(backend, f"t{number}")
    viewers = [Viewer(backend) for _ in range(3)]
    for viewer in viewers:
        viewer.watch("shape_1", "tasks:open")
    scans: list[str] = []
    monkeypatch.setattr(Store, "scan", lambda self, table, **more: scans.append(table))
    put(backend, "t7", size=8)
    assert [len(viewer.drain()[1]["rowsPatch"]) for viewer in viewers] == [1, 1, 1]
    assert scans == []


def test_shape_of_one_shard_hears_nothing_of_another():
    """Shapes belong to the shard of their socket."""
    backend = tasks()
    viewer = Viewer(backend, shard="other")
    viewer.watch("shape_1", "tasks:open")
    put(backend, "a")
    assert viewer.drain() == []


def test_name_of_a_shape_is_registered_once():
    """Two functions of one name would be a lottery."""
    app = tasks_app()
    with pytest.raises(ValueError, match="already"):
        app.shape("mine")(lambda ctx: None)
    with pytest.raises(ValueError, match="shape name"):
        app.shape("two words")(lambda ctx: None)


def test_app_without_change_log_answers_no_resume():
    """What is not kept cannot vouch for anything: a client that was away gets the value."""
    backend = tasks(change_log=False)
    peer = Peer(backend)
    peer.subscribe("sub_1", "tasks:all")
    call(backend, "members:set", {"id": "ada"})
    frames = Peer(backend).subscribe("sub_1", "tasks:all", since=peer.positions["sub_1"])
    assert [frame["type"] for frame in frames] == ["ack", "data"]


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "shape_subscribe", "id": "a", "shape": {"name": "tasks:open"}},
        {"type": "subscribe", "id": "a", "query": {"functionPath": "tasks:all", "args": {}, "table": "t"}},
    ],
)
def test_socket_given_up_by_the_answer_to_its_subscription_leaves_nothing(frame):
    """What does not fit any more is not watched either."""
    backend = tasks(Limits(queued_bytes=100))
    viewer = Viewer(backend)
    viewer.session.send_text("x" * 200)
    viewer.send(frame)
    assert viewer.session.is_overflowed
    assert len(backend.shard().shapes) == len(backend.shard().live) == 0
