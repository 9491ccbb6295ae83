"""Values that live queries show before their server has answered: they came with a page.

Source: ``docs/protocol.md``, section "Preload".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lunora_rx.core.results import Result
from lunora_rx.core.snapshot import SnapshotStatus
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.protocol.values import UNDEFINED


class Preload:
    """One value that its live query may show.

    It knows the subscription that it was last offered to, and so whether something newer has taken its place. It
    does not know who is signed in.

    Attributes:
        key: The subscription key.
        value: The value; ``UNDEFINED`` once it was superseded.
    """

    __slots__ = ("_result", "key", "value")

    def __init__(self, key: str, value: Any) -> None:
        self.key = key
        self.value = value
        self._result: Result | None = None

    def show_in(self, result: Result) -> bool:
        """Show it where nothing is shown yet, nor any error; tell whether it is shown."""
        self._result = result
        if result.status is not SnapshotStatus.PENDING:
            return False
        # Nobody knows where it stands: without a position the whole value is asked for.
        result.seed(self.value, None, None)
        return True

    def expire(self) -> None:
        """Let go of the value if something else has taken its place: it is never shown again."""
        if self._result is not None and self._result.base is not self.value:
            self.value, self._result = UNDEFINED, None


class Preloads:
    """The preloaded values of one client that wait for their subscriptions.

    Args:
        is_usable: Tells whether nobody was replaced by somebody else yet; afterwards no value is shown.
    """

    def __init__(self, is_usable: Callable[[], bool]) -> None:
        self._is_usable = is_usable
        self._offered: dict[str, Preload] = {}

    def look(self, preload: Preload) -> Any:
        """Return the value that may be shown now, ``UNDEFINED`` for none."""
        preload.expire()
        return preload.value if self._is_usable() else UNDEFINED

    def offer(self, preload: Preload) -> None:
        """Hold a value for the subscription that follows; the caller makes or finds it, and calls ``seed``."""
        if self.look(preload) is not UNDEFINED:
            self._offered[preload.key] = preload

    def seed(self, subscription: Subscription) -> bool:
        """Show what was offered for a subscription, as stale; tell whether something was."""
        preload = self._offered.pop(subscription.key, None)
        return preload is not None and preload.show_in(subscription.result)
