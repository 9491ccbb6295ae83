"""Whatever is written, and whenever a socket is lost, pokes lead to the rows that match the filter."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lunora_rx.devserver import Backend, Limits
from tests.devserver.peer import call
from tests.devserver.views import Viewer, put, tasks

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

SHAPES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "open": ("tasks:open", {}, lambda row: row["done"] is False),
    "big": ("tasks:big", {"size": 2}, lambda row: row["size"] >= 2),
    "odd": ("tasks:odd", {}, lambda row: row["size"] % 2),
}

writes = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("abcd"), st.booleans(), st.integers(0, 4)),
    st.tuples(st.just("remove"), st.sampled_from("abcd")),
)
steps = st.lists(st.one_of(writes, st.just(("drop",)), st.just(("gap",)), st.just(("epoch",))), max_size=40)


class Client:
    """A viewer that comes back after every loss, and asks anew after every gap."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.viewer = Viewer(backend)
        for shape_id, (name, args, _) in SHAPES.items():
            self.viewer.watch(shape_id, name, args)

    def come_back(self) -> None:
        views = self.viewer.views
        self.viewer.session.close()
        self.viewer = Viewer(self.backend)
        for shape_id, (name, args, _) in SHAPES.items():
            self.viewer.watch(shape_id, name, args, since=views[shape_id])

    def settle(self) -> None:
        self.viewer.drain()
        for shape_id, view in self.viewer.views.items():
            if view.gaps:
                view.gaps, view.checkpoint, view.epoch = 0, None, None
                name, args, _ = SHAPES[shape_id]
                self.viewer.watch(shape_id, name, args)

    def shown(self) -> dict[str, dict[str, Any]]:
        return {shape_id: view.rows for shape_id, view in self.viewer.views.items()}


def expected(backend: Backend) -> dict[str, dict[str, Any]]:
    rows = call(backend, "tasks:all")["result"]
    return {shape_id: {row["_id"]: row for row in rows if matches(row)} for shape_id, (_, _, matches) in SHAPES.items()}


@unhurried
@given(steps, st.sampled_from([2, 10_000]))
def test_pokes_lead_to_the_rows_that_match(taken, retention):
    """Writes, losses and new epochs in any order; gaps only where frames were lost, and never a wrong row."""
    backend = tasks(Limits(change_retention=retention))
    app_faults = backend._app.faults
    client = Client(backend)
    for step, *args in taken:
        if step == "put":
            task, done, size = args
            put(backend, task, done=done, size=size)
        elif step == "remove":
            call(backend, "tasks:remove", {"id": args[0]})
        elif step == "gap":
            app_faults.drop_pokes()
        elif step == "drop":
            client.come_back()
        else:
            backend.begin_epoch()
            client.come_back()
        client.settle()
        if step in ("put", "remove"):
            app_faults.release()
    put(backend, "a", size=1)
    put(backend, "a", size=2)
    put(backend, "a", size=0, done=True)
    client.settle()
    client.come_back()
    assert client.shown() == expected(backend)
    backend.close()
