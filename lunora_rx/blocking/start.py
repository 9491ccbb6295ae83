"""Calls that are made and not waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from lunora_rx.blocking.bridge import Bridge
from lunora_rx.blocking.calls import Call, Mutation
from lunora_rx.blocking.signatures import shows_parameters_of, takes_what
from lunora_rx.client import Args
from lunora_rx.client import LunoraClient as AsyncClient
from lunora_rx.core.local_store import LocalStore
from lunora_rx.functions import ActionRef, Given, MutationRef, QueryRef, Untyped
from lunora_rx.protocol.preloaded import Preloaded
from lunora_rx.protocol.session_probe import User
from lunora_rx.rx.calls import Slot

A = TypeVar("A")
T = TypeVar("T")


class Start:
    """The calls of a client as handles: made at once, to be waited for with ``result()``, cancelled, or left alone.

    Each takes what the client's method of the same name takes. Unlike that one it may be called on the client's own
    thread, in an observer. ``timeout`` is that of the request.
    """

    def __init__(self, bridge: Bridge, client: AsyncClient) -> None:
        self._bridge = bridge
        self._client = client

    def __repr__(self) -> str:
        return f"<calls of {self._client!r}>"

    @overload
    def query(
        self, function: QueryRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[T]: ...
    @overload
    def query(
        self, function: QueryRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> Call[T]: ...
    @overload
    def query(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Any]: ...
    @shows_parameters_of(AsyncClient.query)
    def query(self, *args: Any, **options: Any) -> Call[Any]:
        """Ask for a query's value once, over HTTP."""
        return self._start(lambda: self._client.query(*args, **options))

    @overload
    def action(
        self, function: ActionRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[T]: ...
    @overload
    def action(
        self, function: ActionRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> Call[T]: ...
    @overload
    def action(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Any]: ...
    @shows_parameters_of(AsyncClient.action)
    def action(self, *args: Any, **options: Any) -> Call[Any]:
        """Run an action, over HTTP; it is never queued and never repeated."""
        return self._start(lambda: self._client.action(*args, **options))

    @overload
    def mutation(
        self,
        function: MutationRef[None, T],
        args: None = None,
        *,
        shard: str | None = None,
        mutation_id: str | None = None,
        optimistic: Callable[[Any], Any] | None = None,
        optimistic_update: Callable[[LocalStore, Any], None] | None = None,
        precondition: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> Mutation[T]: ...
    @overload
    def mutation(
        self,
        function: MutationRef[A, T],
        args: Given[A],
        *,
        shard: str | None = None,
        mutation_id: str | None = None,
        optimistic: Callable[[Any], Any] | None = None,
        optimistic_update: Callable[[LocalStore, A], None] | None = None,
        precondition: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> Mutation[T]: ...
    @overload
    def mutation(
        self,
        function: Untyped,
        args: Args = None,
        *,
        shard: str | None = None,
        mutation_id: str | None = None,
        optimistic: Callable[[Any], Any] | None = None,
        optimistic_update: Callable[[LocalStore, Any], None] | None = None,
        precondition: Callable[[], bool] | None = None,
        timeout: float | None = None,
    ) -> Mutation[Any]: ...
    @shows_parameters_of(AsyncClient.mutation)
    def mutation(self, *args: Any, **options: Any) -> Mutation[Any]:
        """Write: at once, or as soon as the connection is back. Patches are shown by the time this returns."""
        return Mutation(self._bridge, self._bridge.call(lambda: self._client.mutation(*args, **options)))

    @takes_what(AsyncClient.batch)
    def batch(self, *args: Any, **options: Any) -> Call[list[Slot]]:
        """Make several calls in one round trip; each succeeds or fails by itself."""
        return self._start(lambda: self._client.batch(*args, **options))

    @overload
    def preload(
        self, function: QueryRef[None, T], args: None = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Preloaded[T]]: ...
    @overload
    def preload(
        self, function: QueryRef[A, T], args: Given[A], *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Preloaded[T]]: ...
    @overload
    def preload(
        self, function: Untyped, args: Args = None, *, shard: str | None = None, timeout: float | None = None
    ) -> Call[Preloaded[Any]]: ...
    @shows_parameters_of(AsyncClient.preload)
    def preload(self, *args: Any, **options: Any) -> Call[Preloaded[Any]]:
        """Ask for a query's value once, for somebody else to show first with ``hydrate``."""
        return self._start(lambda: self._client.preload(*args, **options))

    @takes_what(AsyncClient.current_user)
    def current_user(self, *args: Any, **options: Any) -> Call[User | None]:
        """Ask the server who is signed in."""
        return self._start(lambda: self._client.current_user(*args, **options))

    def _start(self, make: Callable[[], Any]) -> Call[Any]:
        return Call(self._bridge, self._bridge.call(make))
