"""Reactive streams client for Lunora: live queries as hot Observables over one WebSocket multiplexer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lunora_rx.client import LunoraClient
from lunora_rx.core.backoff import Backoff
from lunora_rx.core.events import IdentityChanged
from lunora_rx.core.identity import KEEP
from lunora_rx.core.polling import Polling
from lunora_rx.core.shape_events import RowOp
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus, Status
from lunora_rx.environment import Counts
from lunora_rx.errors import (
    ClientClosedError,
    CodecError,
    LunoraError,
    ProtocolError,
    QueueError,
    RequestTimeout,
    ServerError,
    StorageError,
    StreamError,
    TransportError,
)
from lunora_rx.functions import ActionRef, MutationRef, PagedQueryRef, QueryRef, ShapeRef, StreamRef, api
from lunora_rx.interfaces import CallNews, Tap
from lunora_rx.protocol import (
    UNDEFINED,
    Undefined,
    WireBigInt,
    WireBytes,
    WireDate,
    WireError,
    WireMap,
    WireSet,
    WireUrl,
)
from lunora_rx.protocol.frame_text import FrameText
from lunora_rx.protocol.preloaded import Preloaded
from lunora_rx.protocol.session_probe import User, UserStatus
from lunora_rx.rx import display as _display
from lunora_rx.rx.binding import bind
from lunora_rx.rx.calls import Call, Failed, Mutation, Ok, Phase
from lunora_rx.rx.combined import Combined
from lunora_rx.rx.http_stream import HttpStream
from lunora_rx.rx.importing import Import, ImportProgress
from lunora_rx.rx.interop import observable_to_aiter
from lunora_rx.rx.live_query import LiveQuery
from lunora_rx.rx.mutations import MutationSettled, ReplayProgress
from lunora_rx.rx.paginated import PageStatus, PageValue, PaginatedQuery
from lunora_rx.rx.row_changes import RowChanges
from lunora_rx.rx.shape import Shape
from lunora_rx.rx.stream import Stream
from lunora_rx.rx.threads import observe_on_thread
from lunora_rx.rx.user import UserObservable
from lunora_rx.rx.whispers import Whisper

if TYPE_CHECKING:
    from lunora_rx.recorder import Recording
    from lunora_rx.recording import ReplayClient, replay
    from lunora_rx.storage import Storage

__version__ = "0.1.0"

_display.display_by("lunora_rx.adapters.jupyter")

__all__ = [
    "KEEP",
    "UNDEFINED",
    "ActionRef",
    "Backoff",
    "Call",
    "CallNews",
    "ClientClosedError",
    "CodecError",
    "Combined",
    "Counts",
    "Failed",
    "FrameText",
    "HttpStream",
    "IdentityChanged",
    "Import",
    "ImportProgress",
    "LiveQuery",
    "LunoraClient",
    "LunoraError",
    "Mutation",
    "MutationRef",
    "MutationSettled",
    "Ok",
    "PageStatus",
    "PageValue",
    "PagedQueryRef",
    "PaginatedQuery",
    "Phase",
    "Polling",
    "Preloaded",
    "ProtocolError",
    "QueryRef",
    "QueueError",
    "Recording",
    "ReplayClient",
    "ReplayProgress",
    "RequestTimeout",
    "RowChanges",
    "RowOp",
    "ServerError",
    "Shape",
    "ShapeRef",
    "Snapshot",
    "SnapshotStatus",
    "Status",
    "Storage",
    "StorageError",
    "Stream",
    "StreamError",
    "StreamRef",
    "Tap",
    "TransportError",
    "Undefined",
    "User",
    "UserObservable",
    "UserStatus",
    "Whisper",
    "WireBigInt",
    "WireBytes",
    "WireDate",
    "WireError",
    "WireMap",
    "WireSet",
    "WireUrl",
    "__version__",
    "api",
    "bind",
    "observable_to_aiter",
    "observe_on_thread",
    "replay",
]

# What not every program uses, imported where it is first mentioned: recordings, and all that writes to a disk.
_LATER = {
    "Recording": "lunora_rx.recorder",
    "ReplayClient": "lunora_rx.recording",
    "Storage": "lunora_rx.storage",
    "replay": "lunora_rx.recording",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
