"""An embedded server that speaks the Lunora protocol, for development, tests and demos."""

from lunora_rx.devserver.annotations import TableId
from lunora_rx.devserver.app import App
from lunora_rx.devserver.backend import Backend
from lunora_rx.devserver.calls import HttpRequest
from lunora_rx.devserver.contexts import ActionContext, ConnectionContext, MutationContext, QueryContext
from lunora_rx.devserver.events import Comment, Event, Raw
from lunora_rx.devserver.faults import Faults
from lunora_rx.devserver.refusals import AppError
from lunora_rx.devserver.routes import RouteContext
from lunora_rx.devserver.session import ServerSession
from lunora_rx.devserver.settings import Limits

__all__ = [
    "ActionContext",
    "App",
    "AppError",
    "Backend",
    "Comment",
    "ConnectionContext",
    "Event",
    "Faults",
    "HttpRequest",
    "Limits",
    "MutationContext",
    "QueryContext",
    "Raw",
    "RouteContext",
    "ServerSession",
    "TableId",
]
