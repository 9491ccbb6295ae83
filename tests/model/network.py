"""A network that does what the schedule says: two first-in first-out channels a socket, and calls beside them.

Nothing moves by itself. Within one direction of one socket nothing overtakes; across
sockets, and between sockets and replies of calls, anything may.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, Protocol, TypeAlias

import orjson

from lunora_rx.devserver import Backend, ServerSession
from lunora_rx.devserver import HttpRequest as ServerRequest
from lunora_rx.devserver.access import SESSION_COOKIE
from lunora_rx.errors import TransportError
from lunora_rx.protocol.endpoints import CLOSE_TOO_BIG, HEADER_AUTHORIZATION, HEADER_MUTATION_ID
from lunora_rx.protocol.rpc import HttpReply, HttpRequest
from tests.model.app import ORIGIN, Mood, translated
from tests.model.damages import BAD_VALUE
from tests.model.writes import Write

Direction: TypeAlias = Literal["up", "down"]
Witness: TypeAlias = Literal["both", "client", "server", "nobody"]
Manner: TypeAlias = Literal["accept", "refuse", "silent", "expired"]


Garbling: TypeAlias = Literal["gone", "limited", "unreadable"]

GARBLINGS: tuple[Garbling, ...] = ("gone", "limited", "unreadable")
REFUSALS: dict[str, HttpReply] = {
    "502 page": HttpReply(502, {}, b"<html>bad gateway</html>"),
    "503": HttpReply(503),
    "200 page": HttpReply(200, {}, b"<html>welcome</html>"),
    "429": HttpReply(429, {"retry-after": "2"}),
    "401": HttpReply(401),
    "403": HttpReply(403),
    "413": HttpReply(413),
    "429 limited": HttpReply(
        429, {}, b'{"error":{"code":"RATE_LIMITED","message":"slow","data":{"retryAfterMs":1500}}}'
    ),
    "shard": HttpReply(503, {}, b'{"error":{"code":"SHARD_UNAVAILABLE","message":"moving"}}'),
    "internal": HttpReply(500, {}, b'{"error":{"code":"INTERNAL","message":"oops"}}'),
}
"""Answers of whatever stands between client and server."""


class End(Protocol):
    """The client end of a link."""

    has_started: bool
    socket_token: str | None
    cookie: str | None
    user: str | None

    def receive_opened(self, link: Link) -> None: ...

    def receive_text(self, link: Link, text: str | bytes) -> None: ...

    def receive_closed(self, link: Link, code: int | None) -> None: ...

    def receive_reply(self, request_id: int, reply: HttpReply | TransportError) -> None: ...


@dataclass(frozen=True, slots=True)
class Close:
    """The last thing in a channel: its sender has closed the socket."""

    code: int | None = None


@dataclass(frozen=True, slots=True)
class Damaged:
    """A frame that the schedule has put into a channel, or spoilt there; it concerns a subscription id."""

    text: str | bytes
    kind: str = ""
    subscription_id: str = ""


@dataclass(eq=False)
class Link:
    """One attempt at a socket, from the client's wish to the end of both sides.

    Attributes:
        end: The client.
        shard: The shard it is about.
        session: The server's half, once it was accepted.
        up: Towards the server.
        down: Towards the client.
        stalled: Directions in which nothing moves at present.
        is_half_open: Nothing moves any more, and not everybody knows.
        is_left_by_client: The client is done with it.
        is_left_by_server: The server is done with it.
        damage: What was delivered of damaged frames, by kind and subscription id.
        user: Who had signed in at the client when it was opened.
    """

    end: End
    shard: str
    session: ServerSession | None = None
    up: deque[str | Close] = field(default_factory=deque)
    down: deque[str | Close | Damaged] = field(default_factory=deque)
    stalled: set[Direction] = field(default_factory=set)
    is_half_open: bool = False
    is_left_by_client: bool = False
    is_left_by_server: bool = False
    damage: Counter[tuple[str, str]] = field(default_factory=Counter)
    user: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether neither side knows of it any more."""
        return self.is_left_by_client and (self.is_left_by_server or self.session is None)

    @property
    def is_open(self) -> bool:
        """Whether both sides have it."""
        return self.session is not None and not self.is_left_by_client and not self.is_left_by_server

    def can_move(self, direction: Direction) -> bool:
        """Whether texts move at present."""
        return not self.is_half_open and direction not in self.stalled


@dataclass(eq=False)
class Request:
    """One attempt at a call.

    Attributes:
        end: The client.
        http: What it sends.
        shard: Where it is carried out.
        writes: What it carries.
        cookie: Whose cookie goes along.
        reply: What the server has answered, once it was carried out.
        epoch: The server's history when it was.
        is_given_up: Whether the client has stopped waiting; the attempt may still reach the server.
    """

    end: End
    shard: str
    http: HttpRequest
    writes: list[Write]
    cookie: str | None = None
    reply: HttpReply | None = None
    epoch: Any = None
    is_given_up: bool = False


class Network:
    """All links and requests under way.

    Attributes:
        links: Sockets that at least one side knows of, oldest first.
        requests: Calls that have not come to their end.
        manner: How attempts to connect are met.
        traffic: What was delivered, by kind.
    """

    def __init__(self, backend: Backend, mood: Mood, traffic: Counter[str], frame_limit: float) -> None:
        self.links: list[Link] = []
        self.requests: list[Request] = []
        self.manner: Manner = "accept"
        self.traffic = traffic
        self._backend = backend
        self._mood = mood
        self._frame_limit = frame_limit

    # --- for the clients

    def open(self, end: End, shard: str) -> Link:
        """Begin an attempt at a socket."""
        link = Link(end, shard)
        self.links.append(link)
        return link

    def close(self, link: Link) -> None:
        """Have the client leave; what it has sent before is still on its way."""
        link.is_left_by_client = True
        link.down.clear()
        link.up.append(Close())
        self._sweep()

    def lose_client(self, link: Link) -> None:
        """Have the client vanish with what it was about to send."""
        link.is_left_by_client = True
        link.down.clear()
        self.reap(link)

    def request(self, end: End, shard: str, http: HttpRequest, writes: list[Write]) -> Request:
        """Begin a call."""
        request = Request(end, shard, http, writes, end.cookie)
        self.requests.append(request)
        return request

    # --- for the schedule

    def answer(self, link: Link) -> bool:
        """Meet an attempt to connect in the present manner; tell whether anything happened."""
        is_waiting = link.session is None and not link.is_left_by_client
        if not is_waiting or link.is_half_open or self.manner == "silent" or not link.end.has_started:
            return False
        self.traffic[f"connect: {self.manner}"] += 1
        if self.manner == "refuse":
            self._leave_client(link, None)
        else:
            link.session = self._backend.open(link.shard, link.end.socket_token if self.manner == "accept" else "old")
            link.user = link.end.user
            link.end.receive_opened(link)
        return True

    def deliver(self, link: Link, direction: Direction, count: int = 1_000_000) -> int:
        """Deliver up to ``count`` texts, and return how many there were."""
        if direction == "up":
            return self._deliver_up(link, count)
        self.pump(link)
        return self._deliver_down(link, count)

    def pump(self, link: Link) -> None:
        """Put what the server has to say on the way."""
        session = link.session
        if session is None or link.is_left_by_server or not link.can_move("down"):
            return
        link.down.extend(session.frames_to_send())
        if session.is_overflowed:
            self.traffic["overflow"] += 1
            self._leave_server(link, Close())
        elif session.close_code is not None:
            self._leave_server(link, Close(session.close_code))

    def cut(self, link: Link, seen_by: Witness) -> None:
        """Lose the connection with all that is on the way; only the witnesses learn of it."""
        self.traffic[f"cut seen by {seen_by}"] += 1
        link.up.clear()
        link.down.clear()
        link.is_half_open = True
        if seen_by in ("both", "server"):
            self.reap(link)
        if seen_by in ("both", "client"):
            self._leave_client(link, None)

    def reap(self, link: Link) -> None:
        """Have the server find that a client is gone."""
        if link.session is not None and not link.is_left_by_server:
            link.session.close()
            link.is_left_by_server = True
        self._sweep()

    def damage(self, link: Link, damaged: Damaged) -> None:
        """Put a frame into the channel that no server should have sent."""
        self.pump(link)
        if link.is_open:
            link.down.append(damaged)

    def carry(self, request: Request) -> None:
        """Bring a request to the server, which answers; the answer waits."""
        if request.reply is None:
            http = request.http
            for write in request.writes:
                write.was_carried = True
            if http.body is None:
                request.reply = self._mood.answer_probe(http.headers.get(HEADER_AUTHORIZATION), request.cookie)
            else:
                headers = {**http.headers, **_cookies(request.cookie)}
                request.reply = self._backend.call(translated(ServerRequest(http.path, headers, http.body, ORIGIN)))
            request.epoch = self._backend.shard(request.shard).epoch
            if request.reply.status != HTTPStatus.OK or b"RATE_LIMITED" in request.reply.body:
                excuse(request, "refused by the server")
        self._sweep()

    def reply(self, request: Request) -> None:
        """Bring the server's answer to the client."""
        self.carry(request)
        if not request.is_given_up:
            request.is_given_up = True
            assert request.reply is not None
            request.end.receive_reply(request.http.request_id, request.reply)
        self._sweep()

    def give_up(self, request: Request) -> None:
        """Let the client's time run out; the request itself may arrive later."""
        if not request.is_given_up:
            request.is_given_up = True
            self.traffic["call given up"] += 1
            excuse(request, "given up")
            request.end.receive_reply(request.http.request_id, TransportError("the call timed out"))
        self._sweep()

    def refuse(self, request: Request, refusal: str) -> None:
        """Let something between client and server answer, which says nothing of what the server does."""
        if not request.is_given_up:
            request.is_given_up = True
            self.traffic[f"answered: {refusal}"] += 1
            excuse(request, refusal)
            request.end.receive_reply(request.http.request_id, REFUSALS[refusal])
        self._sweep()

    def garble(self, request: Request, garbling: Garbling, slot: int) -> None:
        """Bring the server's answer to the client with one result in it gone, replaced or beyond reading."""
        self.carry(request)
        if not request.is_given_up:
            assert request.reply is not None
            body = orjson.loads(request.reply.body) if request.writes else {}
            slots = body.get("results", [{"body": body}])
            if slots and "result" in slots[slot % len(slots)]["body"]:
                self.traffic[f"garbled: {garbling}"] += 1
                excuse(request, garbling)
                _garble(slots, slot % len(slots), garbling)
                text = orjson.dumps(body if "results" in body else slots[0]["body"] if slots else {})
                request.reply = HttpReply(request.reply.status, request.reply.headers, text)
        self.reply(request)

    def lose(self, request: Request) -> None:
        """Lose a request on its way, if it has not arrived; the client's time runs out."""
        self.give_up(request)
        if request in self.requests:
            self.requests.remove(request)

    def flow(self) -> bool:
        """Move everything that can move, once; tell whether anything did."""
        moved = False
        for link in list(self.links):
            moved |= self.answer(link)
            moved |= self.deliver(link, "up") > 0
            moved |= self.deliver(link, "down") > 0
        for request in list(self.requests):
            self.reply(request)
            moved = True
        return moved

    def heal(self) -> None:
        """End every fault but the half-open sockets of clients that do not know yet."""
        self.manner = "accept"
        for link in list(self.links):
            link.stalled.clear()
            if link.is_half_open:
                self.reap(link)

    def _deliver_up(self, link: Link, count: int) -> int:
        delivered = 0
        while link.up and delivered < count and link.can_move("up") and link.session is not None:
            if link.session.is_busy:  # the server reads no more from a peer that does not read
                break
            text = link.up.popleft()
            delivered += 1
            if isinstance(text, Close):
                self.reap(link)
            elif not link.is_left_by_server and not link.session.is_overflowed:
                link.session.receive_text(text)
        return delivered

    def _deliver_down(self, link: Link, count: int) -> int:
        delivered = 0
        while link.down and delivered < count and link.can_move("down") and not link.is_left_by_client:
            self._arrive(link, link.down.popleft())
            delivered += 1
        return delivered

    def _arrive(self, link: Link, sent: str | Close | Damaged) -> None:
        if isinstance(sent, Close):
            self.traffic[f"close {sent.code}"] += 1
            self._leave_client(link, sent.code)
        elif isinstance(sent, Damaged):
            self.traffic[f"damaged: {sent.kind}"] += 1
            link.damage[sent.kind, sent.subscription_id] += 1
            link.end.receive_text(link, sent.text)
        elif len(sent) > self._frame_limit:
            self.traffic["frame: too large"] += 1
            link.up.append(Close())
            self._leave_client(link, CLOSE_TOO_BIG)
        else:
            link.end.receive_text(link, sent)

    def _leave_client(self, link: Link, code: int | None) -> None:
        if not link.is_left_by_client:
            link.is_left_by_client = True
            link.down.clear()
            link.end.receive_closed(link, code)
        self._sweep()

    def _leave_server(self, link: Link, close: Close) -> None:
        link.down.append(close)
        link.is_left_by_server = True
        self._sweep()

    def _sweep(self) -> None:
        self.links = [link for link in self.links if not link.is_over]
        self.requests = [each for each in self.requests if not (each.is_given_up and each.reply is not None)]


def _cookies(user: str | None) -> dict[str, str]:
    return {} if user is None else {"cookie": f"{SESSION_COOKIE}={user}"}


def subscription_id_of(frame: Any) -> str:
    """Return the id that a parsed frame is about, empty for none."""
    found = frame.get("id") if isinstance(frame, dict) else None
    return found if isinstance(found, str) else ""


def mutation_ids_of(http: HttpRequest) -> list[str]:
    """Return the ids of the writes that a request carries; none for a question."""
    ids = [call.get("mutationId", http.headers.get(HEADER_MUTATION_ID)) for call in calls_of(http)]
    return [each for each in ids if each is not None]


def shard_of(http: HttpRequest) -> str:
    """Return where a request is carried out; all that it carries belongs to one shard."""
    return next((call.get("shardKey", "") for call in calls_of(http)), "")


def calls_of(http: HttpRequest) -> list[dict[str, Any]]:
    """Return the calls that a request carries; none for a probe."""
    if http.body is None:
        return []
    body = orjson.loads(http.body)
    calls: list[dict[str, Any]] = body.get("calls", [body])
    return calls


def excuse(request: Request, reason: str) -> None:
    """Note for all that a request carries what may be a reason to reject it."""
    for write in request.writes:
        write.excuses.add(reason)


def _garble(slots: list[dict[str, Any]], slot: int, garbling: Garbling) -> None:
    if garbling == "unreadable":
        slots[slot]["body"]["result"] = BAD_VALUE
    elif garbling == "gone" and "id" in slots[slot]:
        del slots[slot]
    else:
        error = {"code": "RATE_LIMITED", "message": "slow", "data": {"retryAfterMs": 400}}
        slots[slot]["body"] = {"error": error}
