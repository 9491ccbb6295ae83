"""Draws schedules in which one client does everything at once."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.model.app import USERS
from tests.model.machine import PATCHED, Schedules, WritingSchedules, any_client_settings
from tests.model.page_machine import PageSchedules
from tests.model.pages import ORDERS
from tests.model.shape_machine import ShapeSchedules
from tests.model.world import World

whole_settings = st.builds(
    replace, any_client_settings, is_durable=st.booleans(), queue_limit=st.sampled_from([1000, 1000, 3])
)


class WholeSchedules(Schedules, WritingSchedules, ShapeSchedules, PageSchedules):
    """Random schedules of every step of the other machines: what each looks at closely meets what the others do.

    Live queries, writes that wait and are replayed, shapes, streams and lists on three shards, users who change, disks
    that fill up, and processes that die and come back.
    """

    @initialize(
        settings=st.lists(whole_settings, min_size=1, max_size=2),
        change_retention=st.sampled_from([1000, 3]),
        user=st.sampled_from([None, *USERS]),
        rows=st.integers(0, 12),
        is_live=st.sampled_from([True, True, True, False]),
    )
    def begin(self, settings, change_retention, user, rows, is_live):
        self._world = World(settings, change_retention=change_retention)
        if user is not None:
            self._world.sign_in(0, user)
        self._world.write(0, "", [("put", f"r{number}", "a", 1) for number in range(1, rows + 1)])
        if not is_live:
            return
        for client in range(len(settings)):
            self._world.hydrate(client)
        self._world.go_live(PATCHED)
        self._world.shapes.go_live()
        for order in ORDERS:
            self._world.watch_list(0, order)
        self._world.flow()
