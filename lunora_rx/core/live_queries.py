"""Applies the server's frames to one shard's live queries, and tells what changed.

Knows which frame means what for a query. Does not know when sockets open or close:
its session does.  Source: ``docs/protocol.md``, section "Live queries".
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, Final, TypeAlias

from lunora_rx.core.events import Event, QueryFailed, SnapshotChanged, TokenExpired, ValueChanged
from lunora_rx.core.optimistic import Layer
from lunora_rx.core.results import NOTHING, VALUE, Change
from lunora_rx.core.subscriptions import Subscription, Subscriptions
from lunora_rx.errors import LunoraError, ProtocolError, ServerError
from lunora_rx.protocol.frames import ErrorFrame, decode_server_frame
from lunora_rx.protocol.rpc import Accepted, Outcome, Refused
from lunora_rx.protocol.values import UNDEFINED

Frame: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Frame, bool], None]

_new_event: Final = tuple.__new__
GENERIC_FAILURE: Final = "the server refused the subscription"


class LiveQueries:
    """The answering half of a session.

    Args:
        shard: The shard key, for events.
        subscriptions: What was asked for.
        emit: Takes each event.
        ask: Sends the frame of a subscription that is behind again; called only by a frame, so on an open socket.
        fail_other: Takes an error for an id, and tells whether it is that of something else than a live query.
        note: Takes each subscription whose base the server gave or confirmed; ``None`` if nobody wants to know.
    """

    def __init__(
        self,
        shard: str,
        subscriptions: Subscriptions,
        emit: Callable[[Event], None],
        ask: Callable[[Subscription], None],
        *,
        fail_other: Callable[[str, LunoraError], bool] = lambda frame_id, error: False,
        note: Callable[[Subscription], None] | None = None,
    ) -> None:
        self._shard = shard
        self._subscriptions = subscriptions
        self._find = subscriptions.find
        self._by_id = subscriptions.by_id
        self._emit = emit
        self._ask = ask
        self._fail_other = fail_other
        self._note = note
        self.handlers: Mapping[str, Handler] = {
            "data": self._receive_data,
            "delta": self._receive_value,
            "resume": self._receive_position,
            "settled": self._receive_position,
            "ack": self._receive_ack,
            "error": self._receive_error,
            "complete": self._receive_complete,
        }

    def fail(self, subscription: Subscription, error: LunoraError) -> None:
        """Fail one query; it stays registered."""
        self._publish(subscription, subscription.result.fail(error))

    def fall_behind(self, subscription: Subscription) -> None:
        """Show one query as stale, and ask for its whole value, as after a delta that cannot be merged."""
        change = subscription.result.fall_behind()
        self._publish(subscription, change)
        self._ask_cold(subscription, change)

    def receive_poll(self, subscription: Subscription, outcome: Outcome | None, acknowledged: int) -> None:
        """Apply what was asked over HTTP; ``None`` is an answer that cannot be read, and says nothing."""
        if outcome is None or self._subscriptions.get(subscription.key) is not subscription:
            return
        error = outcome.error if isinstance(outcome, Refused) else outcome.undecodable
        if error is not None:
            self.fail(subscription, error)
            return
        assert isinstance(outcome, Accepted)
        change = subscription.result.apply_poll(outcome.value, acknowledged)
        if self._note is not None:
            self._note(subscription)
        self._publish(subscription, change)

    def go_stale(self, subscriptions: Iterable[Subscription]) -> None:
        """Note that these cannot be asked of the server by other means either."""
        for subscription in subscriptions:
            if self._subscriptions.get(subscription.key) is subscription:
                self._publish(subscription, subscription.result.go_stale())

    def forget_socket(self) -> None:
        """Note for every query that the socket is gone; what they show goes stale."""
        for subscription in self._subscriptions:
            subscription.forget_socket()
            self._publish(subscription, subscription.result.go_stale())

    def forget_values(self, keeps: Container[Layer]) -> None:
        """Take every value off the screen: it belongs to somebody else, and so do all layers but those to keep."""
        for subscription in self._subscriptions:
            subscription.result.forget(keeps)
            # What was too large for one user may be small for another.
            subscription.is_oversized = False
            self._publish(subscription, Change.STATUS)

    def _receive_data(self, frame: Frame, tagged: bool) -> None:
        try:
            subscription = self._by_id[frame["id"]]
        except (LookupError, TypeError):
            self._receive_value(frame, tagged)
            return
        result = subscription.result
        # What nearly every frame is goes this way; all others have theirs looked at one by one.
        if tagged or not subscription.is_asked or not result.take_plain(frame):
            self._receive_value(frame, tagged)
            return
        if self._note is not None:
            self._note(subscription)
        self._emit(_new_event(ValueChanged, (subscription.key, result.shown, result.cursor, 0, None)))

    def _receive_value(self, frame: Frame, tagged: bool) -> None:
        subscription = self._subscription_of(frame)
        if subscription is None:
            return
        result = subscription.result
        change = result.apply_value(frame, tagged=tagged)
        if self._note is not None and not result.is_behind:
            self._note(subscription)
        if change is VALUE and result.shown is not UNDEFINED:
            # Made without its constructor, which takes as long again; once a frame that counts.
            shown = (subscription.key, result.shown, result.cursor, len(result.layers), result.merge)
            self._emit(_new_event(ValueChanged, shown))
            return
        self._publish(subscription, change)
        if result.is_behind:
            self._ask_cold(subscription, change)

    def _receive_position(self, frame: Frame, tagged: bool) -> None:
        subscription = self._subscription_of(frame)
        if subscription is None:
            return
        change = subscription.result.apply_position(frame)
        if frame["type"] == "resume":
            subscription.is_acked = True
        result = subscription.result
        if self._note is not None and not result.is_behind and result.base is not UNDEFINED:
            self._note(subscription)
        self._publish(subscription, change)

    def _receive_ack(self, frame: Frame, tagged: bool) -> None:
        subscription = self._subscription_of(frame)
        if subscription is not None:
            subscription.is_acked = True

    def _receive_error(self, frame: Frame, tagged: bool) -> None:
        error = decode_server_frame(frame)
        assert isinstance(error, ErrorFrame)
        if error.error_code == "TOKEN_EXPIRED":
            self._emit(TokenExpired(self._shard))
            return
        message = error.message or error.error_message or GENERIC_FAILURE
        failure = ServerError(message, code=error.error_code)
        if error.id is not None and self._fail_other(error.id, failure):
            return
        subscription = self._subscription_of(frame)
        if subscription is not None:
            self.fail(subscription, failure)

    def _receive_complete(self, frame: Frame, tagged: bool) -> None:
        subscription = self._subscription_of(frame)
        if subscription is not None:
            subscription.is_acked = False
            message = "subscription was cancelled by the server"
            self.fail(subscription, ServerError(message, code="SUBSCRIPTION_CANCELLED"))

    def _subscription_of(self, frame: Frame) -> Subscription | None:
        subscription_id = frame.get("id")
        if type(subscription_id) is not str:
            if subscription_id is not None:
                raise ProtocolError(f"frame {frame['type']!r}: 'id' is not a string")
            return None
        subscription = self._find(subscription_id)
        # What was not asked for on this socket, as too large or not yet, nothing here can be about.
        return subscription if subscription is not None and subscription.is_asked else None

    def _ask_cold(self, subscription: Subscription, change: Change) -> None:
        # A value that can never be read must not loop; a delta that cannot be merged is cured by one value.
        if change is Change.BEHIND or (change is Change.FAILED and not subscription.asked_cold):
            subscription.asked_cold = subscription.asked_cold or change is Change.FAILED
            subscription.is_acked = False
            self._ask(subscription)

    def _publish(self, subscription: Subscription, change: Change) -> None:
        if change is NOTHING:
            return
        event = QueryFailed if change is Change.FAILED else SnapshotChanged
        self._emit(event(subscription.key, subscription.result.snapshot))
