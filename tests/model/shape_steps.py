"""Steps of a world that concern shapes, and what must be true of them once everything is at rest."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

import orjson

from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.devserver.frame_faults import FrameFaults, StruckPoke
from lunora_rx.devserver.pokes import Poke
from tests.model.app import apply_step
from tests.model.client import Client
from tests.model.damages import BAD_VALUE, POKE_DAMAGES
from tests.model.history import FAILED
from tests.model.network import Damaged, Link
from tests.model.shape_views import REFUSAL, ShapeView
from tests.model.shapes import SHAPES

if TYPE_CHECKING:
    from tests.model.world import World

SPOILINGS: Final = ("start", "value", "op", "patch", "shape id", "end")
"""What of a poke on its way can be made unreadable."""

_ROOM: Final = 2**17
_TRACELESS: Final = ("start", "shape id", "end")


class ShapeSteps:
    """The steps; like those of the world, each takes plain arguments and applies, or does nothing.

    Attributes:
        is_harmed: Whether any poke or subscription was harmed since the last rest.
    """

    def __init__(self, world: World) -> None:
        self.is_harmed = False
        self._world = world
        self._faults = world.app.faults
        self._nudges = 0
        _spare_memberships(self._faults.frames)

    # --- of the application

    def subscribe(self, client: int, name: str, shard: str = "") -> None:
        """A client holds a shape, perhaps one more of the same; not where sockets may take less than its rows."""
        if self._world.frame_limit == inf and self._world.queued_bytes >= _ROOM:
            self._client(client).subscribe_shape(name, shard)

    def release(self, client: int, which: int) -> None:
        """A client holds a shape no more."""
        held = list(self._client(client).shapes.views)
        if held:
            self._client(client).release_shape(held[which % len(held)])

    def go_live(self) -> None:
        """All clients hold every shape of the default shard, and have its rows."""
        for client in range(len(self._world.clients)):
            for name in SHAPES:
                self.subscribe(client, name)
        self._world.flow()

    # --- of the network

    def cut_poke(self, link: int, arrived: int) -> None:
        """A connection is lost when only the first frames of what comes next have arrived, if it is a poke."""
        for each in self._links(link):
            self._world.network.deliver(each, "down")
            self.nudge(each.shard)
            self._world.network.pump(each)
            places = [place for place, text in enumerate(each.down) if isinstance(text, str) and "pokeStart" in text]
            if places:
                self._world.network.deliver(each, "down", places[0] + arrived)
                self._world.network.cut(each, "both")

    def spoil(self, link: int, which: int, part: str) -> None:
        """A part of a poke on its way turns into something that cannot be read."""
        for each in self._links(link):
            self._world.network.pump(each)
            places = _spoilable(each, part)
            if places:
                self.is_harmed = True
                place = places[which % len(places)]
                text = orjson.dumps(_spoilt(orjson.loads(str(each.down[place])), part))
                each.down[place] = Damaged(text.decode(), f"poke without its {part}")

    def damage(self, link: int, which: int, damage: str) -> None:
        """A poke that no server should have sent arrives for one of a client's shapes, and is the next to arrive."""
        for each in self._links(link):
            self._world.network.deliver(each, "down")
            client = each.end
            assert isinstance(client, Client)
            held = [(key, view) for key, view in client.shapes.views.items() if view.shard == each.shard]
            if not held or not each.is_open or not each.can_move("down"):
                continue
            shape_id, view = held[which % len(held)]
            if view.checkpoint is None:
                continue  # by the protocol, nothing tells whether this is its first poke
            self.is_harmed = True
            for frame in POKE_DAMAGES[damage]:
                whole = {**frame, "shapeId": shape_id} if frame["type"] == "pokePart" else frame
                whole = {**whole, "id": shape_id} if frame["type"] == "error" else whole
                self._world.network.damage(each, Damaged(orjson.dumps(whole).decode(), damage))
            self._world.network.deliver(each, "down")

    # --- of the server

    def drop_pokes(self, count: int) -> None:
        """The server loses the next pokes that commits cause."""
        self.is_harmed = True
        self._faults.drop_pokes(count)

    def spoil_rows(self, count: int) -> None:
        """A row in each of the next pokes of the server cannot be read."""
        self.is_harmed = True
        self._faults.spoil_rows(count)

    def refuse(self, count: int) -> None:
        """The server refuses the next shapes that it is asked for."""
        self.is_harmed = True
        self._faults.refuse_subscriptions(count, code=REFUSAL, on="shape")

    def nudge(self, shard: str) -> None:
        """The server changes something in every shape of a shard."""
        self._nudges += 1
        size = 3 + self._nudges
        self._world.backend.shard(shard).write(lambda database: _nudge(database, size))
        self._world.history.note(shard)

    # --- coming to rest

    def heal(self) -> None:
        """End every fault that is in force."""
        self._faults.frames.release()

    def nudge_what_was_harmed(self) -> bool:
        """Change every shape, so that whoever has missed a poke finds that out; tell whether there was a need."""
        was_harmed, self.is_harmed = self.is_harmed, False
        if was_harmed:
            for shard in {view.shard for client in self._world.clients for view in client.shapes.views.values()}:
                self.nudge(shard)
        return was_harmed

    def needs_open(self, link: Link) -> bool:
        """Tell whether a shape was told something that only the next open mends."""
        client = link.end
        assert isinstance(client, Client)
        return any(view.needs_open and view.shard == link.shard for view in client.shapes.views.values())

    def check(self) -> None:
        """Compare every shape that is held with the rows that belong to it."""
        for client in self._world.clients:
            for shape_id, view in client.shapes.views.items():
                name = f"{client.name}: {view.name} of {view.shard!r} ({shape_id})"
                truth = self._truth(client, view)
                assert self._is_right(client, view), f"{name} is {view.status} with {view.rows}, not {truth}"
            for session in client.core.sessions.values():
                assert session.shapes._unsubscribes == [], "a shape was never given up"
        for link in self._world.network.links:
            self._check_link(link)

    def _check_link(self, link: Link) -> None:
        client = link.end
        assert isinstance(client, Client)
        assert link.session is not None
        pokes, endless = client.core.sessions[link.shard].shapes._pokes, link.damage["poke without its end", ""]
        assert len(pokes) <= endless, f"{client.name} keeps {len(pokes)} pokes, {endless} have never ended"
        held = {shape_id for shape_id, view in client.shapes.views.items() if view.shard == link.shard}
        there = set(link.session._shapes)
        assert there == held, f"{client.name} holds {held}, the server knows {there}"

    def _is_right(self, client: Client, view: ShapeView) -> bool:
        truth = self._truth(client, view)
        if truth is FAILED:
            return view.status is SnapshotStatus.FAILED
        return view.status is SnapshotStatus.LIVE and view.error is None and view.rows == truth

    def _truth(self, client: Client, view: ShapeView) -> Any:
        token = client.socket_token
        subject = None if token is None else self._world.mood.subject_of(token)
        return self._world.history.members_now(view.shard, view.name, subject)

    def _client(self, client: int) -> Client:
        return self._world.clients[client % len(self._world.clients)]

    def _links(self, link: int) -> list[Link]:
        links = self._world.network.links
        return [links[link % len(links)]] if links else []


def _spare_memberships(faults: FrameFaults) -> None:
    """Let no complete membership be lost as a whole: by the protocol nobody can tell that it was to come."""
    strike = faults.strike_poke

    def strike_poke(poke: Poke, *, is_answer: bool) -> StruckPoke:
        has_seed = any(part.patch.is_reset for part in poke.parts)
        return strike(poke, is_answer=is_answer or has_seed)

    setattr(faults, "strike_poke", strike_poke)  # noqa: B010 - a plain assignment to a method is a type error


def _nudge(database: Any, size: int) -> None:
    for group in "ab":
        apply_step(database, "put", f"nudge {group}", {"group": group, "size": size})
    apply_step(database, "label", "", {"group": "c", "size": size})


def _spoilable(link: Link, part: str) -> list[int]:
    """Return the places of frames of which this can be made unreadable.

    By the protocol nobody can tell that a membership was to come, so that is never lost without a trace.
    """
    frames = [orjson.loads(text) if isinstance(text, str) and "pokeId" in text else {} for text in link.down]
    kind = {"start": "pokeStart", "end": "pokeEnd"}.get(part, "pokePart")
    seeds = {frame["pokeId"] for frame in frames if frame.get("reset")} if part in _TRACELESS else set()
    return [place for place, frame in enumerate(frames) if frame.get("type") == kind and frame["pokeId"] not in seeds]


def _spoilt(frame: dict[str, Any], part: str) -> dict[str, Any]:
    match part:
        case "start" | "end":
            return {**frame, "pokeId": []}
        case "patch":
            return {**frame, "rowsPatch": 5}
        case "shape id":
            return {**frame, "shapeId": 5}
        case "op":
            return {**frame, "rowsPatch": [*frame["rowsPatch"], {"op": "upsert", "key": "r1"}]}
    bad = {"op": "update", "key": "r1", "table": "rows", "value": BAD_VALUE}
    return {**frame, "rowsPatch": [bad, *frame["rowsPatch"]]}
