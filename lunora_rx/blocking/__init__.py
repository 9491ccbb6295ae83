"""The client for programs with no event loop: the names of ``lunora_rx``, with results returned instead of awaited."""

from lunora_rx.blocking.bridge import Subscription
from lunora_rx.blocking.calls import Call, Import, Mutation, Phases
from lunora_rx.blocking.client import LunoraClient
from lunora_rx.blocking.observables import BlockingObservable, Latest, ShownObservable, ValueIterator
from lunora_rx.blocking.recordings import Recording
from lunora_rx.blocking.replaying import Playback, ReplayClient, replay
from lunora_rx.blocking.start import Start
from lunora_rx.blocking.views import Cache, Combined, LiveQuery, PaginatedQuery, Shape, UserObservable

__all__ = [
    "BlockingObservable",
    "Cache",
    "Call",
    "Combined",
    "Import",
    "Latest",
    "LiveQuery",
    "LunoraClient",
    "Mutation",
    "PaginatedQuery",
    "Phases",
    "Playback",
    "Recording",
    "ReplayClient",
    "Shape",
    "ShownObservable",
    "Start",
    "Subscription",
    "UserObservable",
    "ValueIterator",
    "replay",
]
