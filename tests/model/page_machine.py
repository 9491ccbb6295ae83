"""Draws schedules that look closely at lists that grow."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.model.app import USERS
from tests.model.machine import (
    QuerySteps,
    SocketSteps,
    UserSteps,
    any_client_settings,
    clients,
    manners,
    numbers,
    shards,
)
from tests.model.pages import ORDERS, PAGES
from tests.model.world import World

orders = st.sampled_from(ORDERS)
sizes = st.integers(1, 3)
many_rows = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "delete"]),
        st.sampled_from([f"r{number}" for number in range(1, 13)]),
        st.sampled_from("ab"),
        st.integers(1, 4),
    ),
    max_size=8,
)
page_patches = st.lists(st.tuples(st.just(PAGES), manners), max_size=2)


class PageSchedules(SocketSteps, QuerySteps, UserSteps):
    """Random schedules of lists that grow, split and join while rows come and go and sockets are lost."""

    @initialize(
        settings=st.lists(any_client_settings, min_size=1, max_size=2),
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
        if is_live:
            for order in ORDERS:
                self._world.watch_list(0, order)
            self._world.flow()

    # --- the application

    @rule(client=clients, order=orders, size=sizes, shard=shards)
    def watch_list(self, client, order, size, shard):
        self.world.watch_list(client, order, size, shard)

    @rule(client=clients, which=numbers)
    def leave_list(self, client, which):
        self.world.leave_list(client, which)

    @rule(client=clients, which=numbers, num_items=sizes)
    def load_more(self, client, which, num_items):
        self.world.load_more(client, which, num_items)

    @rule(client=clients, num_items=sizes, times=st.integers(1, 4))
    def grow(self, client, num_items, times):
        self.world.grow_lists(client, num_items, times)

    @rule(client=clients, which=numbers)
    def refresh_list(self, client, which):
        self.world.refresh_list(client, which)

    @rule(client=clients, shard=shards, steps=many_rows, patches=page_patches)
    def write_rows(self, client, shard, steps, patches):
        self.world.write(client, shard, steps, patches)

    @rule(client=clients, shard=shards, steps=many_rows, patches=page_patches)
    def send_rows(self, client, shard, steps, patches):
        self.world.send_write(client, shard, steps, patches=patches)

    @rule(client=clients, writes=st.lists(many_rows, min_size=1, max_size=3))
    def write_rows_and_flow(self, client, writes):
        self.world.write_and_flow(client, "", writes)

    @rule(client=clients, writes=st.lists(many_rows, min_size=1, max_size=3))
    def write_rows_and_deliver(self, client, writes):
        self.world.write_and_deliver(client, writes)

    @rule(client=clients, link=numbers, writes=st.lists(many_rows, min_size=1, max_size=3))
    def write_rows_while_away(self, client, link, writes):
        self.world.cut(link)
        for steps in writes:
            self.world.write(client, "", steps)

    @rule(client=clients, user=st.sampled_from([*USERS, None]))
    def use_socket_token(self, client, user):
        self.world.use_socket_token(client, user)
