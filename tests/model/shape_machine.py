"""Draws schedules that look closely at shapes and streams."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.model.app import USERS
from tests.model.damages import POKE_DAMAGES
from tests.model.machine import Steps, client_settings, clients, directions, names, numbers, shards, transactions
from tests.model.shape_steps import SPOILINGS
from tests.model.streams import STREAMS
from tests.model.world import World

few = st.integers(1, 2)
some_writes = st.lists(transactions, min_size=1, max_size=3)


class ShapeSchedules(Steps):
    """Random schedules of shapes held and released, pokes and streams lost, cut off or spoilt, and of users."""

    @initialize(
        settings=st.lists(client_settings, min_size=1, max_size=2),
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

    @rule(client=clients, writes=some_writes)
    def write_and_deliver(self, client, writes):
        self.world.write_and_deliver(client, writes)

    @rule(client=clients, shard=shards, writes=some_writes)
    def write_and_flow(self, client, shard, writes):
        self.world.write_and_flow(client, shard, writes)

    @rule(client=clients, shard=shards, link=numbers, writes=some_writes)
    def write_while_away(self, client, shard, link, writes):
        self.world.cut(link)
        for steps in writes:
            self.world.write(client, shard, steps)

    @rule(client=clients, user=st.sampled_from(USERS), names_subject=st.sampled_from([True, True, False]))
    def sign_in(self, client, user, names_subject):
        self.world.sign_in(client, user, names_subject=names_subject)

    @rule(client=clients)
    def name_subject(self, client):
        self.world.name_subject(client)

    @rule(client=clients)
    def sign_out(self, client):
        self.world.sign_out(client)

    @rule(client=clients)
    def renew_credential(self, client):
        self.world.renew_credential(client)

    @rule(client=clients)
    def crash(self, client):
        self.world.crash(client)

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

    @rule(link=numbers)
    def emit(self, link):
        self.world.emit(link)

    @rule(link=numbers, direction=directions)
    def stall(self, link, direction):
        self.world.stall(link, direction)

    @rule(link=numbers)
    def release(self, link):
        self.world.release(link)

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

    @rule(link=numbers)
    def expire_token(self, link):
        self.world.expire_token(link)

    @rule()
    def erase_server(self):
        self.world.erase_server()

    # --- the clock

    @rule(seconds=st.sampled_from([1.0, 11.0, 100.0]), frames_first=st.booleans())
    def freeze(self, seconds, frames_first):
        self.world.freeze(seconds, frames_first=frames_first)
