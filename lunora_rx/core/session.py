"""One shard's conversation: its connection, what it asks for and when.

Feed it what happened, then take the frames, events and deadline that follow.
Source: ``docs/protocol.md``, sections "WebSocket" and "Live queries".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from math import inf
from typing import Any

from lunora_rx.core.agenda import Agenda
from lunora_rx.core.connection import Closed, Connection, Due, Idle, Trigger
from lunora_rx.core.contexts import Contexts
from lunora_rx.core.events import CloseSocket, Event, FrameIgnored, OpenSocket, SubscriptionClosed, TokenExpired
from lunora_rx.core.live_queries import Handler, LiveQueries
from lunora_rx.core.optimistic import Layer
from lunora_rx.core.pacing import CONCURRENCY, Pacing
from lunora_rx.core.read_cache import Stamp
from lunora_rx.core.reads import UNKNOWN, Reads
from lunora_rx.core.shapes import Shapes
from lunora_rx.core.streams import Streams
from lunora_rx.core.subscriptions import Subscription, Subscriptions
from lunora_rx.core.topics import Topics
from lunora_rx.errors import CodecError, LunoraError, ProtocolError, TransportError
from lunora_rx.protocol.endpoints import CLOSE_TOKEN_EXPIRED, CLOSE_TOO_BIG, PING, PONG
from lunora_rx.protocol.frames import SERVER_FRAMES, Connect, Identity, decode_server_frame, encode_frame
from lunora_rx.protocol.rpc import Outcome
from lunora_rx.protocol.text import may_hold_tag, parse, parse_strictly
from lunora_rx.protocol.values import UNDEFINED, Undefined

IDLE_CLOSE_AFTER = 5.0
CLOSE_NORMAL = 1000
CLOSE_SILENT_PEER = 4000

_PONGS = (PONG, PONG.encode())
_DOLLAR = ord("$")
_BACKSLASH = ord("\\")


class Session:
    """Everything that one shard's socket is about.

    The owner drains the emitted events and takes the frames after every call, and calls
    ``handle_deadline`` once ``deadline`` has come. ``frames`` fills only while the socket is open.

    Attributes:
        shard: The shard key, empty for the default shard.
        connection: The socket's lifecycle.
        subscriptions: The shard's live queries.
        frames: Texts to send, in order.
        deadline: When ``handle_deadline`` is due, infinite when never.
        frames_received: How many frames the peer has sent.
        subject: Whose socket this is, as the server says; ``None`` for nobody, before it said, and without a socket.
        stamp: Who was signed in when the socket opened; what it delivers is theirs.
    """

    def __init__(
        self,
        shard: str,
        connection: Connection,
        subscriptions: Subscriptions,
        *,
        introduce: Callable[[Any], Connect],
        contexts: Contexts | None = None,
        emit: Callable[[Event], None],
        is_needed: Callable[[], bool] = lambda: False,
        note_failure: Callable[[float], None] = lambda now: None,
        ask_subject: Callable[[], int] = int,
        receive_subject: Callable[[int, str | None, float], None] = lambda question, subject, now: None,
        fingerprint: Callable[[], str | None] = lambda: None,
        agenda: Agenda | None = None,
        reads: Reads | None = None,
        new_shape_id: Callable[[], str] = lambda: "shape_1",
        new_stream_id: Callable[[], str] = lambda: "stream_1",
    ) -> None:
        self.shard = shard
        self.connection = connection
        self.subscriptions = subscriptions
        self.frames: list[str] = []
        self.deadline = inf
        self.frames_received = 0
        self.subject: str | None = None
        self.stamp = Stamp(None)
        self._introduce = introduce
        self._emit = emit
        self._is_needed = is_needed
        self._note_failure = note_failure
        self._ask_subject = ask_subject
        self._receive_subject = receive_subject
        self._fingerprint = fingerprint
        self._agenda = agenda or Agenda()
        self._user: str | Undefined | None = UNDEFINED
        self._told_to: str | Undefined | None = UNDEFINED
        self._questions: deque[int] = deque()
        self._has_token = False
        self._poked: str | None = None
        self._contexts = contexts or Contexts(UNDEFINED)
        self._topics = Topics(shard, emit, self._send_if_open)
        self._frame_size = 0
        self.shapes = Shapes(new_shape_id, emit=emit, send=self._send_if_open, frame_size=lambda: self._frame_size)
        self.streams = Streams(shard, new_stream_id, emit, self._send_if_open, lambda: self._frame_size)
        self._reads = reads
        self._queries = LiveQueries(
            shard,
            subscriptions,
            emit,
            self._ask_again,
            fail_other=self._fail_part,
            note=None if reads is None else self._note,
        )
        self._handlers: Mapping[str, Handler] = {
            **dict.fromkeys(SERVER_FRAMES, _receive_unasked),
            **self._queries.handlers,
            **self._topics.handlers,
            **self.shapes.handlers,
            **self.streams.handlers,
            "chunk": self._receive_chunk,
            "complete": self._receive_complete,
            "identity": self._receive_identity,
        }
        self._pacing = Pacing()
        self._unsubscribes: list[str] = []
        self._idle_at = inf
        self._searches_oversized = False

    @property
    def is_closed(self) -> bool:
        """Whether the conversation is over for good."""
        return type(self.connection.state) is Closed

    def describe(self) -> dict[str, Any]:
        """Return what a bug report needs of this shard, as plain values."""
        return {
            "connection": type(self.connection.state).__name__.lower(),
            "subject": self.subject,
            "frames_received": self.frames_received,
            "subscriptions": {each.key: each.describe() for each in self.subscriptions},
            "shapes": self.shapes.describe(),
            "streams": self.streams.describe(),
            "topics": self._topics.describe(),
        }

    def connect(self, now: float) -> None:
        """Ask for a socket unless there is one, one is on its way, or the next attempt has its time already."""
        if self.connection.state == Idle():
            self._open_socket(now)
        self._reschedule()

    def reconnect(self, now: float) -> None:
        """Ask for a socket at once where the next attempt has its time."""
        state = self.connection.state
        if isinstance(state, Idle) and state != Idle():
            self._open_socket(now)
        self._reschedule()

    def subscribe(self, key: str, function_path: str, args: Any, now: float) -> Subscription:
        """Ask for a live query; equal keys share one subscription."""
        subscription = self.subscriptions.acquire(key, function_path, args)
        if self._reads is not None:
            self._reads.seed(subscription)
        self._idle_at = inf
        if self.connection.is_open and not subscription.is_acked and not subscription.is_oversized:
            self._ask(subscription, now)
        self.connect(now)
        self._reschedule()
        return subscription

    def unsubscribe(self, key: str, now: float) -> None:
        """Give one request for a live query up; the last one ends it."""
        subscription = self.subscriptions.release(key, now)
        if subscription is not None:
            self._end([subscription], now)
        self._reschedule()

    def join_topic(self, topic: str, now: float) -> None:
        """Listen to whispers of a topic."""
        self._topics.join(topic)
        self._idle_at = inf
        self.connect(now)

    def leave_topic(self, topic: str, now: float) -> None:
        """Listen to a topic no more."""
        self._topics.leave(topic)
        self._check_idle(now)
        self._reschedule()

    def subscribe_shape(self, name: str, args: Any, now: float) -> str:
        """Ask for a shape, with arguments in wire form; return its id."""
        shape_id = self.shapes.subscribe(name, args)
        self._idle_at = inf
        self.connect(now)
        return shape_id

    def unsubscribe_shape(self, shape_id: str, now: float) -> None:
        """Give a shape up."""
        self.shapes.unsubscribe(shape_id)
        self._strike_out(shape_id, now)
        self._check_idle(now)
        self._reschedule()

    def start_stream(self, function_path: str, args: Any, now: float, *, durable: bool) -> str:
        """Start a procedure, with arguments in wire form; return the stream's id."""
        stream_id = self.streams.start(function_path, args, durable=durable)
        self._idle_at = inf
        self.connect(now)
        return stream_id

    def cancel_stream(self, stream_id: str, now: float) -> None:
        """Follow a stream no more."""
        self.streams.cancel(stream_id)
        self._strike_out(stream_id, now)
        self._check_idle(now)
        self._reschedule()

    def whisper(self, topic: str, data: Any, now: float) -> None:
        """Tell the others of a topic something, in wire form, if the socket is open; else the next may find one."""
        self._topics.whisper(topic, data)
        # Somebody needs the socket still: who whispers now and then must not lose it in between.
        self._idle_at = inf
        self.connect(now)
        self._check_idle(now)
        self._reschedule()

    def say_context(self, now: float, *, is_news: bool) -> None:
        """Note that a context was held or released, and tell an open socket if another one counts now."""
        if is_news and self.connection.is_open:
            self._introduce_ourselves()
        self._check_idle(now)
        self._reschedule()

    def refresh(self, key: str, now: float) -> None:
        """Ask for a query's whole value again, also for one that was left out as too large."""
        subscription = self.subscriptions.get(key)
        if subscription is None:
            return
        subscription.is_oversized = subscription.is_acked = subscription.asked_cold = False
        subscription.result.forget_position()
        if self.connection.is_open:
            self._ask(subscription, now)
        self._reschedule()

    def receive_opened(self, now: float, *, has_token: bool = False) -> None:
        """Greet the server and ask again for everything; the order is the protocol's."""
        if not self.connection.can(Trigger.OPENED):
            return
        self._note_user()
        self.connection.opened(now)
        self._has_token = has_token
        if self._reads is not None:
            self.stamp = self._reads.stamp(has_token=has_token)
        self._questions.clear()
        self._introduce_ourselves()
        waiting = [each.id for each in self.subscriptions if not each.is_oversized]
        if self._searches_oversized:
            # What is too large may be a poke or a chunk: they wait for their turn too, and nobody else is blamed.
            waiting += [*self.shapes.ids, *self.streams.waiting]
        self._poked = None
        self._pacing = Pacing(waiting, concurrency=1 if self._searches_oversized else CONCURRENCY)
        self._pace(now)
        is_search = self._pacing.is_searching
        self._put(*([] if is_search else self.shapes.frames_on_open()))
        self._put(*self.shapes.take_unsubscribes(), *self._unsubscribes)
        self._unsubscribes = []
        self._put(*([] if is_search else self.streams.frames_on_open()))
        self._put(*self._topics.frames_on_open())
        self._check_idle(now)
        self._reschedule()

    def receive_text(self, text: str | bytes, now: float) -> None:
        """Apply one inbound frame; an unusable one is ignored and reported."""
        self.note_arrived(1, now)
        self.receive_frame(text)

    def note_arrived(self, count: int, now: float) -> None:
        """Note that so many frames are there, which are applied next."""
        self.connection.last_frame_at = now
        self.frames_received += count

    def receive_frame(self, text: str | bytes) -> None:
        """Apply one of the frames that have arrived."""
        connection = self.connection
        self._frame_size = len(text)
        try:
            frame: Any = parse_strictly(text)
            kind = frame["type"]
            handler = self._handlers[kind]
        except (ValueError, LookupError, TypeError):
            found = self._look_closer(text)
            if found is None:
                return
            frame, kind, handler = found
        if not connection.is_healthy and not self._is_current(kind):
            return
        if not self._pacing.is_done:
            self._free_slot(frame, connection.last_frame_at)
        # Nearly every frame is bytes without either character; only a search for both is worth no call.
        tagged = (isinstance(text, str) or _DOLLAR in text or _BACKSLASH in text) and may_hold_tag(text)
        try:
            handler(frame, tagged)
        except ProtocolError as error:
            self._ignore(error.message)

    def _look_closer(self, text: str | bytes) -> tuple[Any, Any, Handler] | None:
        """Return what is no plain JSON of a known type, with its type and handler; ``None`` if it is no frame."""
        if text in _PONGS:
            return None
        try:
            frame: Any = parse(text)
            return frame, frame["type"], self._handlers.get(frame["type"], self._receive_unknown)
        except (CodecError, LookupError, TypeError):
            self._ignore("it is not a JSON object with a type")
            return None

    def _receive_unknown(self, frame: dict[str, Any], tagged: bool) -> None:
        self._ignore("its type is unknown")

    def distrust(self, text: str | bytes, now: float) -> None:
        """Ask anew for the whole value of the live query that a frame was about, whose application broke off.

        Not again before that has come: what cannot be applied at all must not loop.
        """
        frame: Any = parse(text)
        frame_id = frame.get("id") if isinstance(frame, dict) else None
        subscription = self.subscriptions.find(frame_id) if isinstance(frame_id, str) else None
        if subscription is None or subscription.result.is_behind or not self.connection.is_open:
            return
        self._queries.fall_behind(subscription)
        self._reschedule()

    def receive_closed(self, code: int | None, now: float) -> None:
        """Note that the socket, or the attempt to open it, is gone; a new attempt is planned."""
        if not self.connection.can(Trigger.LOST):
            return
        was_open = self.connection.is_open
        if not was_open:
            self._note_failure(now)
        if code == CLOSE_TOKEN_EXPIRED:
            self._emit(TokenExpired(self.shard))
        if code == CLOSE_TOO_BIG:
            self._search_oversized()
        self.connection.lost(now)
        self.take_frames()
        self.subject = None
        self._pacing = Pacing()
        if was_open:
            # An attempt that never opened takes nothing away: values may be live by polling.
            self._queries.forget_socket()
            self.shapes.forget_socket()
            self.streams.forget_socket()
        self._check_idle(now)
        self._reschedule()

    def receive_poll(self, subscription: Subscription, outcome: Outcome | None, acknowledged: int) -> None:
        """Apply what one live query was answered over HTTP, unless a socket has been opened since."""
        if self.connection.is_open:
            return
        if self._reads is not None:
            # Whose value this is, the bearer of the request says.
            self.stamp = self._reads.stamp(has_token=False)
        self._queries.receive_poll(subscription, outcome, acknowledged)

    def go_stale(self, subscriptions: Iterable[Subscription]) -> None:
        """Note that these cannot be asked over HTTP either."""
        self._queries.go_stale(subscriptions)

    def forget_values(self, keeps: Container[Layer]) -> None:
        """Take every value off the screen: it belongs to somebody else, and so do all layers but those to keep."""
        self._queries.forget_values(keeps)
        self.shapes.forget_values()

    def forget_positions(self) -> None:
        """Have the next socket ask for whole values; what is shown stays."""
        for subscription in self.subscriptions:
            subscription.result.forget_position()
        self.shapes.forget_positions()

    def take_frames(self) -> list[str]:
        """Take the frames to send, in order."""
        frames, self.frames = self.frames, []
        self._agenda.note_frames(self.shard, are_there=False)
        return frames

    def restart(self, now: float) -> None:
        """Retire the socket, or the attempt, and open another by the normal backoff."""
        self._drop_socket(CLOSE_NORMAL, now)

    def close(self) -> None:
        """End the conversation for good."""
        if self.is_closed:
            return
        if not isinstance(self.connection.state, Idle):
            self._emit(CloseSocket(self.shard, CLOSE_NORMAL))
        self.connection.close()
        self.take_frames()
        self._pacing, self._idle_at = Pacing(), inf
        for subscription in self.subscriptions:
            self._emit(SubscriptionClosed(subscription.key))
        self.subscriptions.clear()
        self.shapes.close()
        self.streams.close()
        self._reschedule()

    def handle_deadline(self, now: float) -> None:
        """Do what is due by now, once, however late this comes."""
        outlived = self.subscriptions.take_outlived(now)
        if outlived:
            self._end(outlived, now)
        if now >= self._idle_at:
            self._close_idle(now)
        if self.is_closed:
            return
        self._handle_connection_deadline(now)
        self._pacing.handle_deadline(now)
        self._pacing.acquit(self.streams.running)
        self._pace(now)
        self._reschedule()

    def _handle_connection_deadline(self, now: float) -> None:
        match self.connection.handle_deadline(now):
            case Due.CONNECT:
                self._open_socket(now)
            case Due.ABANDON:
                self._drop_socket(CLOSE_NORMAL, now, abandoned_after=self.connection.connect_timeout)
            case Due.DEAD:
                self._drop_socket(CLOSE_SILENT_PEER, now)
            case Due.PING:
                self._put(PING)

    def _open_socket(self, now: float) -> None:
        self.connection.connect(now)
        self._emit(OpenSocket(self.shard))

    def _ask(self, subscription: Subscription, now: float) -> None:
        # While one query too many bytes long is looked for, asking out of turn would blur the trail.
        if self._pacing.is_searching:
            self._pacing.add(subscription.id)
            self._pace(now)
            return
        self._send_subscribe(subscription)

    def _ask_again(self, subscription: Subscription) -> None:
        # Called by a frame, which has just stamped the time.
        self._ask(subscription, self.connection.last_frame_at)

    def _note(self, subscription: Subscription) -> None:
        assert self._reads is not None
        self._reads.note(subscription, self.stamp)
        # What came by polling is armed by whoever took the reply: here the time is that of the last frame.
        if self.connection.is_open and self._reads.arm(self.connection.last_frame_at):
            self._agenda.has_more = True

    def _put(self, *texts: str) -> None:
        if texts and not self.frames:
            self._agenda.note_frames(self.shard, are_there=True)
        self.frames += texts

    def _send_if_open(self, text: str) -> bool:
        if self.connection.is_open:
            self._put(text)
        return self.connection.is_open

    def _note_user(self) -> None:
        # What another user's socket told is no place to resume from: unchanged since then is unchanged for them.
        user = self._fingerprint()
        if user != self._user and self._user is not UNDEFINED:
            self.forget_positions()
            self._told_to = UNDEFINED
        self._user = user

    def _introduce_ourselves(self) -> None:
        # With a token of its own the socket says nothing of the cookie: 0 is no question.
        self._questions.append(0 if self._has_token else self._ask_subject())
        self._put(encode_frame(self._introduce(self._contexts.effective)))

    def _send_subscribe(self, subscription: Subscription) -> None:
        subscription.was_sent = subscription.is_asked = True
        self._put(subscription.encode_subscribe())

    def _end(self, ended: Sequence[Subscription], now: float) -> None:
        # All are struck out before the next is let out, which might be one of them.
        for subscription in ended:
            self._pacing.release(subscription.id)
        self._pace(now)
        for subscription in ended:
            if subscription.was_sent:
                text = subscription.encode_unsubscribe()
                if not self._send_if_open(text):
                    self._unsubscribes.append(text)
            if self._reads is not None:
                self._reads.release(subscription.key)
            self._emit(SubscriptionClosed(subscription.key))
        self._check_idle(now)

    def _pace(self, now: float) -> None:
        while (subscription_id := self._pacing.next_to_send(now)) is not None:
            subscription = self.subscriptions.find(subscription_id)
            if subscription is not None:
                self._send_subscribe(subscription)
                continue
            # What is given up is struck out: it is a shape, or else a stream.
            self._put(self.shapes.ask(subscription_id) or self.streams.begin(subscription_id))
        if self._pacing.is_searching and self._pacing.is_done:
            self._pacing = Pacing()
            self._searches_oversized = False

    def _free_slot(self, frame: dict[str, Any], now: float) -> None:
        if self._pacing.is_searching and frame["type"] == "ack":
            return
        answered = self._answered_by(frame)
        if answered is not None and self._pacing.release(answered):
            self._pace(now)
            self._reschedule()

    def _answered_by(self, frame: dict[str, Any]) -> str | None:
        frame_id = frame.get("id")
        if isinstance(frame_id, str):
            subscription = self.subscriptions.find(frame_id)
            return frame_id if subscription is None or subscription.is_asked else None
        if frame["type"] == "pokePart":
            # Its poke may have another part: only the end says that all of them fit.
            shape_id = frame.get("shapeId")
            self._poked = shape_id if isinstance(shape_id, str) else None
        return self._poked if frame["type"] == "pokeEnd" else None

    def _strike_out(self, part_id: str, now: float) -> None:
        if self._pacing.release(part_id):
            self._pace(now)

    def _search_oversized(self) -> None:
        suspect = self._pacing.suspect
        self._searches_oversized = True
        if suspect is None:
            return
        subscription = self.subscriptions.find(suspect)
        if subscription is not None:
            subscription.is_oversized = True
            self._queries.fail(subscription, _too_large(f"the value of {subscription.function_path!r}"))
            return
        error = _too_large(f"what the server sends of {suspect!r}")
        if not self.shapes.leave_out(suspect, error):
            self.streams.receive_error(suspect, error)

    def _drop_socket(self, code: int, now: float, *, abandoned_after: float | None = None) -> None:
        if self.connection.can(Trigger.LOST):
            self._emit(CloseSocket(self.shard, code, abandoned_after))
            self.receive_closed(None, now)

    def _is_current(self, kind: str) -> bool:
        # Frames of a socket that was dropped may still come in: they are no longer about anything.
        if not self.connection.is_open:
            return False
        if kind != "error":
            self.connection.prove_health()
            self._reschedule()
        return True

    def _close_idle(self, now: float) -> None:
        # What still needs the socket does not say when it ends, so the question is put again.
        self._idle_at = inf
        if self._is_needed() or any(part.is_needed for part in self._parts):
            self._check_idle(now)
            return
        self.close()

    def _check_idle(self, now: float) -> None:
        # A timer that runs is not put off: a socket that opens and drops all the time would never be given up.
        if self.shard and not self.subscriptions:
            self._idle_at = min(self._idle_at, now + IDLE_CLOSE_AFTER)

    @property
    def _parts(self) -> tuple[Shapes | Streams | Topics | Contexts, ...]:
        return self.shapes, self.streams, self._topics, self._contexts

    def _fail_part(self, frame_id: str, error: LunoraError) -> bool:
        if self.shapes.receive_error(frame_id, error):
            return True
        if not self.streams.receive_error(frame_id, error):
            return False
        self._note_ended_stream()
        return True

    def _receive_chunk(self, frame: dict[str, Any], tagged: bool) -> None:
        self.streams.handlers["chunk"](frame, tagged)
        if not self.streams.is_needed:
            self._note_ended_stream()

    def _note_ended_stream(self) -> None:
        self._check_idle(self.connection.last_frame_at)
        self._reschedule()

    def _receive_complete(self, frame: dict[str, Any], tagged: bool) -> None:
        frame_id = frame.get("id")
        if isinstance(frame_id, str) and self.streams.receive_complete(frame_id):
            self._note_ended_stream()
            return
        self._queries.handlers["complete"](frame, tagged)

    def _receive_identity(self, frame: dict[str, Any], tagged: bool) -> None:
        identity = decode_server_frame(frame)
        assert isinstance(identity, Identity)
        self.subject = identity.subject
        # Answers come in the order of the questions; one too many answers none.
        if self._questions:
            self._receive_subject(self._questions.popleft(), identity.subject, self.connection.last_frame_at)
        if identity.subject is not None and self.stamp.fingerprint is None:
            # It is somebody's all the same: what it delivers is not for nobody to see.
            self.stamp.fingerprint = UNKNOWN
        self._note_subject(identity.subject)

    def _note_subject(self, subject: str | None) -> None:
        # A socket's own token, or a cookie, may be another user's while nobody here signs in as somebody else.
        is_other = self._told_to not in (UNDEFINED, subject)
        self._told_to = subject
        if is_other and self.connection.is_open:
            self.restart(self.connection.last_frame_at)
            self.forget_positions()

    def _ignore(self, reason: str) -> None:
        self._emit(FrameIgnored(self.shard, reason))

    def _reschedule(self) -> None:
        self.deadline = min(self.connection.deadline, self._pacing.deadline, self.subscriptions.deadline, self._idle_at)
        self._agenda.expect(self.shard, self.deadline)


def _receive_unasked(frame: dict[str, Any], tagged: bool) -> None:
    """Ignore a frame of the protocol that nobody here has asked for."""


def _too_large(what: str) -> TransportError:
    return TransportError(f"{what} exceeds the frame limit; narrow the query", code="FRAME_TOO_LARGE")
