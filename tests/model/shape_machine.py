"""Draws schedules that look closely at shapes and streams."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.model.app import USERS
from tests.model.damages import POKE_DAMAGES
from tests.model.machine import (
    SocketSteps,
    UserSteps,
    any_client_settings,
    clients,
    names,
    numbers,
    shards,
    some_writes,
    transactions,
)
from tests.model.shape_steps import SPOILINGS
from tests.model.streams import STREAMS
from tests.model.world import World

few = st.integers(1, 2)


class ShapeSchedules(SocketSteps, UserSteps):
    """Random schedules of shapes held and released, pokes and streams lost, cut off or spoilt, and of users."""

    @initialize(
        settings=st.lists(any_client_settings, min_size=1, max_size=2),
        change_retention=st.sampled_from([1000, 3]),
        user=st.sampled_from([None, *USERS]),
        is_live=st.sampled_from([True, True, True, False]),
    )
    def begin(self, settings, change_retention, user, is_live):
        self._world = World(settings, change_retention=change_retention)
        if user is not None:
            self._world.sign_in(0, user)
        if is_live:
            self._world.go_live(["asc", "count"])
            self._world.shapes.go_live()

    # --- the application

    @rule(client=clients, name=names, shard=shards)
    def subscribe_shape_and_flow(self, client, name, shard):
        self.world.shapes.subscribe(client, name, shard)
        self.world.flow()

    @rule(client=clients, shard=shards, link=numbers, writes=some_writes)
    def write_while_away(self, client, shard, link, writes):
        self.world.cut(link)
        for steps in writes:
            self.world.write(client, shard, steps)

    @rule(client=clients, user=st.sampled_from([*USERS, None]))
    def use_socket_token(self, client, user):
        self.world.use_socket_token(client, user)

    @rule(client=clients, path=st.sampled_from(STREAMS), count=st.integers(0, 4), shard=shards)
    def start_stream(self, client, path, count, shard):
        self.world.start_stream(client, path, count, shard)

    @rule(
        client=clients, path=st.sampled_from(STREAMS), count=st.integers(2, 4), link=numbers, arrived=st.integers(0, 3)
    )
    def start_and_cut_stream(self, client, path, count, link, arrived):
        self.world.flow()
        self.world.start_stream(client, path, count)
        self.world.deliver(link, "up", 5)
        self.world.deliver(link, "down", arrived)
        self.world.cut(link)

    @rule(client=clients, which=numbers)
    def cancel_stream(self, client, which):
        self.world.cancel_stream(client, which)

    # --- the network

    @rule(link=numbers, arrived=st.integers(1, 4))
    def cut_poke(self, link, arrived):
        self.world.shapes.cut_poke(link, arrived)

    @rule(link=numbers, which=numbers, part=st.sampled_from(SPOILINGS), client=clients, steps=transactions)
    def write_and_spoil_poke(self, link, which, part, client, steps):
        self.world.write(client, "", steps)
        self.world.shapes.spoil(link, which, part)

    @rule(link=numbers, which=numbers, damage=st.sampled_from(list(POKE_DAMAGES)))
    def damage_shape(self, link, which, damage):
        self.world.shapes.damage(link, which, damage)

    # --- the server

    @rule(count=few)
    def drop_pokes(self, count):
        self.world.shapes.drop_pokes(count)

    @rule(count=few)
    def spoil_rows(self, count):
        self.world.shapes.spoil_rows(count)

    @rule(count=few)
    def refuse_shapes(self, count):
        self.world.shapes.refuse(count)

    @rule(count=few)
    def spoil_chunks(self, count):
        self.world.spoil_chunks(count)

    @rule()
    def forget_streams(self):
        self.world.forget_streams()

    @rule(shard=shards)
    def nudge(self, shard):
        self.world.shapes.nudge(shard)
