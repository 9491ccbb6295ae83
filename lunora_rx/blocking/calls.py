"""Results that are on their way, as any thread may wait for them."""

from __future__ import annotations

from typing import Any, TypeVar

from lunora_rx.blocking.bridge import Bridge
from lunora_rx.blocking.observables import BlockingObservable
from lunora_rx.errors import RequestTimeout
from lunora_rx.rx.calls import Call as AsyncCall
from lunora_rx.rx.calls import Mutation as AsyncMutation
from lunora_rx.rx.calls import Phase
from lunora_rx.rx.importing import Import as AsyncImport
from lunora_rx.rx.importing import ImportProgress

T = TypeVar("T")


class Call(BlockingObservable[T]):
    """A result that is on its way: the call was made when this object was, and is made once."""

    def __init__(self, bridge: Bridge, call: AsyncCall[T]) -> None:
        super().__init__(bridge, call)
        self._call = call

    @property
    def is_settled(self) -> bool:
        """Whether the result or the error is there."""
        return self._call.is_settled

    @property
    def is_detached(self) -> bool:
        """Whether all who waited or observed gave up before there was a result."""
        return self._bridge.call(lambda: self._call.is_detached)

    @property
    def is_watched(self) -> bool:
        """Whether somebody waits for it or observes it now."""
        return self._bridge.call(lambda: self._call.is_watched)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result, and return it; any number of threads may, any number of times.

        Args:
            timeout: Seconds to wait at most; without one it takes what the call takes. The call goes on afterwards.

        Raises:
            TimeoutError: There is none yet.
            LunoraError: The call failed.
            RuntimeError: This is the client's own thread, or a forked process.
        """
        value: T = self._bridge.ask(lambda: self._call, what=f"result() of {self._call!r}", timeout=timeout)
        return value

    def cancel(self) -> bool:
        """Give the call itself up, for everybody; tells whether that was still possible.

        Whoever waits for it gets a ``LunoraError`` with code ``CANCELLED``.
        """
        return self._bridge.call(self._call.cancel)


class Mutation(Call[T]):
    """A write that is on its way, with the phases it goes through."""

    def __init__(self, bridge: Bridge, mutation: AsyncMutation[T]) -> None:
        super().__init__(bridge, mutation)
        self._mutation = mutation

    @property
    def mutation_id(self) -> str:
        """Its idempotency key: however often it is sent, the server carries it out once."""
        return self._mutation.mutation_id

    @property
    def phases(self) -> Phases:
        """Its phases, those gone by first, with the latest at hand; they end with the verdict."""
        return Phases(self._bridge, self._mutation)

    def cancel(self) -> bool:
        """Take the write back, with its patches, if it was not sent yet; tells whether it could."""
        return super().cancel()

    def verdict(self, timeout: float) -> T:
        """Wait for the result as a call of its own does.

        Raises:
            RequestTimeout: There is no verdict within that many seconds; the write goes on. ``data`` holds its
                ``mutation_id`` and ``phase``.
        """
        try:
            return self.result(timeout)
        except TimeoutError:
            phase = self.phases.latest
        raise RequestTimeout(
            f"{self._mutation!r}: no verdict within {timeout:g} s; the write is {phase} and goes on",
            transient=True,
            data={"mutation_id": self.mutation_id, "phase": str(phase)},
        )


class Phases(BlockingObservable[Phase]):
    """The phases of a write, in order: iterating gives each of them, and ends with the verdict."""

    def __init__(self, bridge: Bridge, mutation: AsyncMutation[Any]) -> None:
        super().__init__(bridge, mutation.phases)
        self._mutation = mutation

    @property
    def latest(self) -> Phase:
        """The phase that the write is in."""
        return self._bridge.call(lambda: self._mutation.phases.latest)


class Import(Call[ImportProgress]):
    """Rows on their way to the server: iterating shows how far they have come, ``result`` waits for the end.

    It goes on whether anybody looks or not.
    """

    conflates = True

    def __init__(self, bridge: Bridge, started: AsyncImport) -> None:
        super().__init__(bridge, started)
        self._import = started

    @property
    def import_id(self) -> str:
        """What the same rows are taken up again under."""
        return self._import.import_id

    def cancel(self) -> bool:
        """Stop after the chunk under way, for everybody; tells whether that was still possible."""
        return super().cancel()


__all__ = ["Call", "Import", "Mutation", "Phases"]
