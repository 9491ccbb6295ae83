"""Draws schedules: each rule is a step of the world.

The machines share the steps that are here.  One looks closely at what is read, one at what is written, one at shapes
and one at growing lists; each also does a little of what the others do.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.model.app import QUERIES, TOUCH, USERS
from tests.model.client import ClientSettings
from tests.model.damages import DAMAGES, NOISE
from tests.model.network import GARBLINGS, REFUSALS
from tests.model.shapes import SHAPES
from tests.model.world import SHARDS, World

RUN: Counter[str] = Counter()
"""How many schedules and steps were run, and what has happened in them."""

numbers = st.integers(0, 5)
clients = st.integers(0, 1)
shards = st.sampled_from([SHARDS[0], *SHARDS])
queries = st.sampled_from(list(QUERIES))
names = st.sampled_from(list(SHAPES))
directions = st.sampled_from(["up", "down"])
steps = st.tuples(
    st.sampled_from(["put", "put", "put", "delete", "label", "bloat"]),
    st.sampled_from([f"r{number}" for number in range(1, 6)]),
    st.sampled_from("ab"),
    st.integers(0, 4),
)
transactions = st.lists(steps, max_size=3)
several = st.lists(transactions, min_size=2, max_size=4)
some_writes = st.lists(transactions, min_size=1, max_size=4)
users = st.sampled_from(USERS)
hitches = st.sampled_from([None, None, *GARBLINGS, *GARBLINGS, *REFUSALS])
PATCHED = ("asc", "desc", "newest two", "group b", "page", "count", "row", "touched", "who", "mine")
patched = st.sampled_from(PATCHED)
manners = st.sampled_from(["patch", "patch", "patch", "patch", "set", "set", "fussy", "raise"])
patches = st.lists(st.tuples(patched, manners), max_size=3)
two_patches = st.lists(st.tuples(patched, manners), min_size=2, max_size=3)
mutations = st.sampled_from(["rows:apply", "rows:apply", "rows:apply", TOUCH, "rows:refuse", "rows:nothing"])
client_settings = st.builds(
    ClientSettings,
    heartbeat_interval=st.sampled_from([30.0, 7.0]),
    jitter=st.sampled_from(["decorrelated", "equal", "none"]),
    linger=st.sampled_from([0.0, 0.0, 3.0]),
    polls=st.booleans(),
    seed=st.integers(0, 3),
)
# Lists are compared with the server at their positions, which polled values have not.
any_client_settings = st.builds(replace, client_settings, has_cookies=st.booleans(), polls=st.just(False))


writer_settings = st.builds(
    ClientSettings,
    is_durable=st.booleans(),
    polls=st.sampled_from([False, False, False, True]),
    queue_limit=st.sampled_from([1000, 1000, 3]),
    jitter=st.sampled_from(["decorrelated", "none"]),
    seed=st.integers(0, 3),
)


class Steps(RuleBasedStateMachine):
    """Steps of the network, of the clock, and of an application that reads, writes and holds shapes a little."""

    _world: World | None = None

    @property
    def world(self) -> World:
        """The world, taken once a step."""
        assert self._world is not None
        RUN["steps"] += 1
        return self._world

    @rule(client=clients, query=queries, shard=shards)
    def subscribe(self, client, query, shard):
        self.world.subscribe(client, query, shard)

    @rule(client=clients, which=numbers)
    def unsubscribe(self, client, which):
        self.world.unsubscribe(client, which)

    @rule(client=clients, name=names, shard=shards)
    def subscribe_shape(self, client, name, shard):
        self.world.shapes.subscribe(client, name, shard)

    @rule(client=clients, which=numbers)
    def release_shape(self, client, which):
        self.world.shapes.release(client, which)

    @rule(client=clients, shard=shards, steps=transactions, patches=patches)
    def write(self, client, shard, steps, patches):
        self.world.write(client, shard, steps, patches)

    @rule(client=clients, shard=shards, steps=transactions, mutation=mutations, patches=patches)
    def send_write(self, client, shard, steps, mutation, patches):
        self.world.send_write(client, shard, steps, mutation, patches)

    @rule(which=numbers)
    def write_again(self, which):
        self.world.write_again(which)

    @rule(client=clients)
    def replace_client(self, client):
        self.world.replace_client(client)

    @rule()
    def flow(self):
        self.world.flow()

    @rule(link=numbers, direction=directions, count=st.integers(1, 6))
    def deliver(self, link, direction, count):
        self.world.deliver(link, direction, count)

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

    @rule(seconds=st.sampled_from([0.2, 1.0, 5.0, 12.0, 40.0]), flowing=st.booleans())
    def advance(self, seconds, flowing):
        self.world.advance(seconds, flowing=flowing)

    @rule(seconds=st.sampled_from([3.0, 8.0, 20.0]), flowing=st.sampled_from([True, True, False]))
    def go_without_sockets(self, seconds, flowing):
        self.world.go_without_sockets(seconds, flowing=flowing)

    @rule()
    def settle(self):
        self.world.settle()

    @rule()
    def restart_server(self):
        self.world.restart_server()

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


class UserSteps(Steps):
    """Steps of users who come, change and go, and of processes that die."""

    @rule(client=clients, user=users, names_subject=st.sampled_from([True, True, False]))
    def sign_in(self, client, user, names_subject):
        self.world.sign_in(client, user, names_subject=names_subject)

    @rule(client=clients)
    def name_subject(self, client):
        self.world.name_subject(client)

    @rule(client=clients, names_subject=st.booleans())
    def sign_out(self, client, names_subject):
        self.world.sign_out(client, names_subject=names_subject)

    @rule(client=clients)
    def revoke_token(self, client):
        self.world.revoke_token(client)

    @rule(client=clients, stored=numbers)
    def crash(self, client, stored):
        self.world.crash(client, stored)

    @rule(
        client=clients,
        was=st.sampled_from([None, *USERS]),
        user=users,
        then=st.sampled_from([None, None, *USERS]),
        names_subject=st.sampled_from([True, True, False]),
        starts_first=st.booleans(),
        offline=st.booleans(),
    )
    def die_and_come_back(self, client, was, user, then, names_subject, starts_first, offline):
        self.world.die_and_come_back(
            client, user, was, then, names_subject=names_subject, starts_first=starts_first, offline=offline
        )


class SocketSteps(Steps):
    """Steps of sockets that are stalled, lose their credential or their server, and of loops that are blocked."""

    @rule(client=clients, shard=shards, writes=some_writes)
    def write_and_flow(self, client, shard, writes):
        self.world.write_and_flow(client, shard, writes)

    @rule(client=clients, writes=some_writes)
    def write_and_deliver(self, client, writes):
        self.world.write_and_deliver(client, writes)

    @rule(client=clients)
    def renew_credential(self, client):
        self.world.renew_credential(client)

    @rule(link=numbers)
    def emit(self, link):
        self.world.emit(link)

    @rule(link=numbers, direction=directions)
    def stall(self, link, direction):
        self.world.stall(link, direction)

    @rule(link=numbers)
    def release(self, link):
        self.world.release(link)

    @rule(link=numbers)
    def expire_token(self, link):
        self.world.expire_token(link)

    @rule()
    def erase_server(self):
        self.world.erase_server()

    @rule(seconds=st.sampled_from([1.0, 11.0, 100.0]), frames_first=st.booleans())
    def freeze(self, seconds, frames_first):
        self.world.freeze(seconds, frames_first=frames_first)


class QuerySteps(Steps):
    """Steps in which the frames of live queries are spoilt, and queries asked again or ended."""

    @rule(client=clients, which=numbers)
    def refresh(self, client, which):
        self.world.refresh(client, which)

    @rule(link=numbers, which=numbers, damage=st.sampled_from(list(DAMAGES)))
    def damage(self, link, which, damage):
        self.world.damage(link, which, damage)

    @rule(link=numbers, which=numbers)
    def spoil(self, link, which):
        self.world.spoil(link, which)

    @rule(link=numbers)
    def cancel_queries(self, link):
        self.world.cancel_queries(link)


class WritingSchedules(UserSteps):
    """Random schedules of writes that show at once, wait, are replayed, refused, withdrawn and left behind."""

    @initialize(
        settings=st.lists(writer_settings, min_size=1, max_size=2), is_live=st.sampled_from([True, True, True, False])
    )
    def begin(self, settings, is_live):
        self._world = World(settings)
        if is_live:
            self._world.go_live(PATCHED)

    @rule(client=clients, shard=shards, writes=several, patches=two_patches, broken=st.sampled_from([None, None, 0, 1]))
    def write_offline(self, client, shard, writes, patches, broken):
        self.world.write_offline(client, shard, writes, patches, broken)

    @rule(
        client=clients,
        shard=shards,
        writes=several,
        patches=two_patches,
        slot=numbers,
        hitch=hitches,
        late=transactions,
    )
    def write_offline_and_replay(self, client, shard, writes, patches, slot, hitch, late):
        self.world.write_offline(client, shard, writes, patches)
        self.world.come_back(client)
        if hitch in REFUSALS:
            self.world.refuse(-1, hitch)
        elif hitch in GARBLINGS:
            self.world.garble(-1, hitch, slot)
        self.world.send_write(client, shard, late, patches=patches)

    @rule(client=clients, shard=shards, writes=several, patches=two_patches, which=numbers)
    def write_offline_and_cancel(self, client, shard, writes, patches, which):
        self.world.write_offline(client, shard, writes, patches)
        self.world.cancel(client, which)

    @rule(client=clients, shard=shards, writes=several, patches=two_patches, user=st.sampled_from([*USERS, None]))
    def write_offline_and_change_user(self, client, shard, writes, patches, user):
        self.world.write_offline(client, shard, writes, patches)
        if user is None:
            self.world.sign_out(client)
        else:
            self.world.sign_in(client, user)

    @rule(client=clients, shard=shards, writes=several, patches=two_patches, stored=numbers)
    def crash_and_write(self, client, shard, writes, patches, stored):
        self.world.write_offline(client, shard, writes, patches)
        self.world.crash(client, stored)
        self.world.send_write(client, shard, writes[0], patches=patches)

    @rule(client=clients, which=numbers)
    def make_again(self, client, which):
        self.world.make_again(client, which)

    @rule(client=clients, shard=shards, writes=several, patches=two_patches, which=numbers, withdraws=st.booleans())
    def crash_and_make_again(self, client, shard, writes, patches, which, withdraws):
        self.world.write_offline(client, shard, writes, patches)
        self.world.crash(client, len(writes))
        self.world.make_again(client, which)
        if withdraws:
            self.world.cancel(client, which)

    @rule(client=clients, shard=shards, steps=transactions, patches=two_patches)
    def write_and_lose_what_follows(self, client, shard, steps, patches):
        self.world.write(client, shard, steps, patches)
        for link in range(len(self.world.network.links)):
            self.world.cut(link)

    @rule(client=clients)
    def come_back(self, client):
        self.world.come_back(client)

    @rule(client=clients, shard=shards, writes=several, patches=two_patches)
    def write_several(self, client, shard, writes, patches):
        for steps in writes:
            self.world.send_write(client, shard, steps, patches=patches)

    @rule(client=clients, shard=shards, steps=transactions, patches=two_patches)
    def write_conditionally(self, client, shard, steps, patches):
        self.world.send_write(client, shard, steps, patches=patches, conditional=True)

    @rule(client=clients, which=numbers)
    def cancel(self, client, which):
        self.world.cancel(client, which)

    @rule(which=numbers, holds=st.sampled_from([False, None, True]))
    def change_assumption(self, which, holds):
        self.world.change_assumption(which, holds)

    @rule(client=clients)
    def upgrade(self, client):
        self.world.upgrade(client)

    @rule(client=clients)
    def start(self, client):
        self.world.start(client)

    @rule(client=clients)
    def hydrate(self, client):
        self.world.hydrate(client)

    @rule(client=clients, count=st.integers(1, 3), is_full=st.sampled_from([False, False, False, True]))
    def use_disk(self, client, count, is_full):
        self.world.use_disk(client, count, is_full=is_full)

    @rule(client=clients)
    def slow_disk(self, client):
        self.world.slow_disk(client)

    @rule(request=numbers)
    def lose_request(self, request):
        self.world.lose_request(request)

    @rule(request=numbers, refusal=st.sampled_from(list(REFUSALS)))
    def refuse(self, request, refusal):
        self.world.refuse(request, refusal)

    @rule(request=numbers, garbling=st.sampled_from(GARBLINGS), slot=numbers)
    def garble(self, request, garbling, slot):
        self.world.garble(request, garbling, slot)

    @rule(count=st.integers(1, 3))
    def be_busy(self, count):
        self.world.be_busy(count)


class Schedules(SocketSteps, QuerySteps):
    """Random schedules of observers, faults of every kind, and writes that show at once."""

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

    @rule(client=clients, shard=shards)
    def subscribe_all(self, client, shard):
        self.world.subscribe_all(client, shard)

    @rule(client=clients, shard=shards)
    def write_nothing(self, client, shard):
        self.world.write_nothing(client, shard)

    # --- the network

    @rule(link=numbers, noise=st.sampled_from(list(NOISE)))
    def make_noise(self, link, noise):
        self.world.make_noise(link, noise)

    # --- the server

    @rule(link=numbers, code=st.sampled_from([1000, 1001, 1012, 4000]))
    def end_socket(self, link, code):
        self.world.end_socket(link, code)
