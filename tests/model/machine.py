"""Draws schedules: each rule is a step of the world."""

from __future__ import annotations

import math
import sys
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.model.app import QUERIES
from tests.model.client import ClientSettings
from tests.model.world import DAMAGES, NOISE, SHARDS, World

RUN: Counter[str] = Counter()
"""How many schedules and steps were run, and what has happened in them."""

numbers = st.integers(0, 5)
clients = st.integers(0, 1)
shards = st.sampled_from([SHARDS[0], *SHARDS])
queries = st.sampled_from(list(QUERIES))
directions = st.sampled_from(["up", "down"])
steps = st.tuples(
    st.sampled_from(["put", "put", "put", "delete", "label", "bloat"]),
    st.sampled_from([f"r{number}" for number in range(1, 6)]),
    st.sampled_from("ab"),
    st.integers(0, 4),
)
transactions = st.lists(steps, max_size=3)
client_settings = st.builds(
    ClientSettings,
    heartbeat_interval=st.sampled_from([30.0, 7.0]),
    jitter=st.sampled_from(["decorrelated", "equal", "none"]),
    linger=st.sampled_from([0.0, 0.0, 3.0]),
    seed=st.integers(0, 3),
)


class Schedules(RuleBasedStateMachine):
    """Random schedules of writes, observers, faults and time."""

    _world: World | None = None

    @property
    def world(self) -> World:
        """The world, taken once a step."""
        assert self._world is not None
        RUN["steps"] += 1
        return self._world

    @initialize(
        settings=st.lists(client_settings, min_size=1, max_size=2),
        change_retention=st.sampled_from([1000, 3]),
        queued_bytes=st.sampled_from([2**20, 3000]),
        frame_limit=st.sampled_from([math.inf, 2500]),
        is_live=st.sampled_from([True, True, False]),
    )
    def begin(self, settings, change_retention, queued_bytes, frame_limit, is_live):
        self._world = World(
            settings, change_retention=change_retention, queued_bytes=queued_bytes, frame_limit=frame_limit
        )
        if is_live:
            self._world.go_live()

    # --- the application

    @rule(client=clients, query=queries, shard=shards)
    def subscribe(self, client, query, shard):
        self.world.subscribe(client, query, shard)

    @rule(client=clients, shard=shards)
    def subscribe_all(self, client, shard):
        self.world.subscribe_all(client, shard)

    @rule(client=clients, which=numbers)
    def unsubscribe(self, client, which):
        self.world.unsubscribe(client, which)

    @rule(client=clients, which=numbers)
    def refresh(self, client, which):
        self.world.refresh(client, which)

    @rule(client=clients, shard=shards, steps=transactions)
    def write(self, client, shard, steps):
        self.world.write(client, shard, steps)

    @rule(client=clients, shard=shards, writes=st.lists(transactions, min_size=1, max_size=4))
    def write_and_flow(self, client, shard, writes):
        self.world.write_and_flow(client, shard, writes)

    @rule(client=clients, writes=st.lists(transactions, min_size=1, max_size=4))
    def write_and_deliver(self, client, writes):
        self.world.write_and_deliver(client, writes)

    @rule(client=clients, shard=shards, steps=transactions)
    def send_write(self, client, shard, steps):
        self.world.send_write(client, shard, steps)

    @rule(client=clients, shard=shards)
    def write_nothing(self, client, shard):
        self.world.write_nothing(client, shard)

    @rule(which=numbers)
    def write_again(self, which):
        self.world.write_again(which)

    @rule(client=clients)
    def renew_credential(self, client):
        self.world.renew_credential(client)

    @rule(client=clients)
    def replace_client(self, client):
        self.world.replace_client(client)

    # --- the network

    @rule()
    def flow(self):
        self.world.flow()

    @rule(link=numbers, direction=directions, count=st.integers(1, 6))
    def deliver(self, link, direction, count):
        self.world.deliver(link, direction, count)

    @rule(link=numbers)
    def emit(self, link):
        self.world.emit(link)

    @rule(link=numbers, direction=directions)
    def stall(self, link, direction):
        self.world.stall(link, direction)

    @rule(link=numbers)
    def release(self, link):
        self.world.release(link)

    @rule(link=numbers, seen_by=st.sampled_from(["both", "client", "server", "nobody"]))
    def cut(self, link, seen_by):
        self.world.cut(link, seen_by)

    @rule(manner=st.sampled_from(["accept", "accept", "refuse", "silent", "expired"]))
    def meet_connects(self, manner):
        self.world.meet_connects(manner)

    @rule(request=numbers)
    def carry(self, request):
        self.world.carry(request)

    @rule(request=numbers)
    def reply(self, request):
        self.world.reply(request)

    @rule(request=numbers)
    def give_up(self, request):
        self.world.give_up(request)

    @rule(link=numbers, noise=st.sampled_from(list(NOISE)))
    def make_noise(self, link, noise):
        self.world.make_noise(link, noise)

    @rule(link=numbers, which=numbers, damage=st.sampled_from(list(DAMAGES)))
    def damage(self, link, which, damage):
        self.world.damage(link, which, damage)

    @rule(link=numbers, which=numbers)
    def spoil(self, link, which):
        self.world.spoil(link, which)

    # --- the server

    @rule(link=numbers, code=st.sampled_from([1000, 1001, 1012, 4000]))
    def end_socket(self, link, code):
        self.world.end_socket(link, code)

    @rule(link=numbers)
    def expire_token(self, link):
        self.world.expire_token(link)

    @rule(link=numbers)
    def cancel_queries(self, link):
        self.world.cancel_queries(link)

    @rule()
    def restart_server(self):
        self.world.restart_server()

    @rule()
    def erase_server(self):
        self.world.erase_server()

    # --- the clock

    @rule(seconds=st.sampled_from([0.2, 1.0, 5.0, 12.0, 40.0]), flowing=st.booleans())
    def advance(self, seconds, flowing):
        self.world.advance(seconds, flowing=flowing)

    @rule(seconds=st.sampled_from([1.0, 11.0, 100.0]), frames_first=st.booleans())
    def freeze(self, seconds, frames_first):
        self.world.freeze(seconds, frames_first=frames_first)

    @rule()
    def settle(self):
        self.world.settle()

    def teardown(self):
        RUN["schedules"] += 1
        world = self._world
        if world is None:
            return
        try:
            if sys.exc_info()[1] is None:
                world.settle()
                world.close()
        finally:
            world.backend.close()
            RUN.update(world.traffic)
