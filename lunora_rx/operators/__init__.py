"""Operators for live rows, in the style of ``reactivex.operators``.

``from lunora_rx import operators as lops``: each is a plain function from Observable to Observable, for ``pipe`` on any
Observable, of this library or not. Subscriptions share nothing. The time operators run on the scheduler that they or
``subscribe`` are given, else on the running asyncio loop, and never start a thread.
"""

from lunora_rx.operators.frames import to_frame
from lunora_rx.operators.joining import join
from lunora_rx.operators.measures import ewma, history
from lunora_rx.operators.pacing import conflate
from lunora_rx.operators.rates import rate
from lunora_rx.operators.retrying import retry_backoff
from lunora_rx.operators.row_changes import changes, row
from lunora_rx.operators.rows import by_id, select, where
from lunora_rx.operators.watching import log, unwrap

__all__ = [
    "by_id",
    "changes",
    "conflate",
    "ewma",
    "history",
    "join",
    "log",
    "rate",
    "retry_backoff",
    "row",
    "select",
    "to_frame",
    "unwrap",
    "where",
]
