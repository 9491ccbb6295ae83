"""Streamlit: what a live query shows, for the reruns of a fragment.

A Streamlit script has no loop and runs again and again, so the client is a blocking one, made once a server process in
``st.cache_resource``. Each session holds open what it looks at, and lets go when it ends. Needs the extra
``streamlit``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple, TypeVar, overload

from lunora_rx import QueryRef, Snapshot, SnapshotStatus
from lunora_rx.adapters import Freshness, freshness_of, load
from lunora_rx.blocking import LiveQuery, LunoraClient, Subscription

T = TypeVar("T")

HELD: Final = 64
"""How many queries a session holds open; of more, those that it looked at last."""

_BADGES: Final[dict[Freshness, str]] = {
    "pending": "gray",
    "live": "green",
    "stale": "orange",
    "offline": "red",
    "failed": "violet",
}

__all__ = ["badge", "watch"]


class Held(NamedTuple):
    """A live query that a session holds open."""

    live: LiveQuery[Any]
    subscription: Subscription


@overload
def watch(
    client: LunoraClient, function: QueryRef[Any, T], args: Any = None, *, shard: str | None = None, wait: float = 2.0
) -> Snapshot[T]: ...
@overload
def watch(
    client: LunoraClient, function: Any, args: Any = None, *, shard: str | None = None, wait: float = 2.0
) -> Snapshot[Any]: ...
def watch(
    client: LunoraClient, function: Any, args: Any = None, *, shard: str | None = None, wait: float = 2.0
) -> Snapshot[Any]:
    """Return what a live query shows now, and hold it open for this session.

    To be called in ``@st.fragment(run_every=...)``: each run looks at the newest value, which costs no round trip.

    Args:
        client: The one client of this process, from a function of yours under ``st.cache_resource``.
        function: As for ``client.live``. A session holds open the 64 queries that it looked at last.
        args: As for ``client.live``.
        shard: As for ``client.live``.
        wait: Seconds that the first look of a session waits for a value; without one the snapshot is ``pending``.

    Raises:
        ImportError: Streamlit is not installed.
        TypeError: ``client`` is no blocking client, or an argument is of the wrong type.
        CodecError: An argument cannot be encoded.
        ClientClosedError: The client is closed.
    """
    if not isinstance(client, LunoraClient):
        raise TypeError(f"client is a lunora_rx.blocking.LunoraClient, not {type(client).__name__}")
    held: Held = _holding()(client, id(client), function, repr(function), args, repr(args), shard, wait)
    return held.live.snapshot


def badge(client: LunoraClient, snapshot: Snapshot[Any]) -> None:
    """Show whether a snapshot is live, stale, offline, pending or failed, as an ``st.badge``.

    Raises:
        ImportError: Streamlit is not installed.
        ClientClosedError: The client is closed.
    """
    word = freshness_of(snapshot, client.status.value)
    load("streamlit", extra="streamlit").badge(f"\N{BLACK CIRCLE} {word}", color=_BADGES[word])


@cache
def _holding() -> Any:
    streamlit = load("streamlit", extra="streamlit")
    cached = streamlit.cache_resource(scope="session", on_release=_let_go, max_entries=HELD, show_spinner=False)
    return cached(_hold)


# What begins with an underscore is not part of the cache's key.
def _hold(
    _client: LunoraClient,
    client_id: int,
    _function: Any,
    function_text: str,
    _args: Any,
    args_text: str,
    shard: str | None,
    _wait: float,
) -> Held:
    live = _client.live(_function, _args, shard=shard)
    held = Held(live, live.snapshots.subscribe())
    _wait_for_value(live, _wait)
    return held


def _wait_for_value(live: LiveQuery[Any], seconds: float) -> None:
    try:
        live.snapshots.first(lambda snapshot: snapshot.status is not SnapshotStatus.PENDING, timeout=seconds)
    except TimeoutError:
        return


def _let_go(held: Held) -> None:
    held.subscription.dispose()
