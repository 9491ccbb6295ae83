"""A test kit for programs that use the client, and contracts for stores of your own.

A ``ScriptedServer`` plays the server that the program talks to, ``VirtualTime`` lets its time pass, marbles say what
an Observable tells and when. With pytest, fixtures bring them together (``docs/testing.md``).
"""

from lunora_rx.testing.app_server import AppServer
from lunora_rx.testing.bench import Bench
from lunora_rx.testing.calls import ServerCall
from lunora_rx.testing.clock import VirtualTime, run
from lunora_rx.testing.marbles import Recording, assert_marbles, hot_live, record
from lunora_rx.testing.network import Opening
from lunora_rx.testing.script import ANY, PENDING, Target
from lunora_rx.testing.server import ScriptedServer
from lunora_rx.testing.stores import CacheStoreContract, QueueStoreContract, a_cached_read, a_queued_mutation

__all__ = [
    "ANY",
    "PENDING",
    "AppServer",
    "Bench",
    "CacheStoreContract",
    "Opening",
    "QueueStoreContract",
    "Recording",
    "ScriptedServer",
    "ServerCall",
    "Target",
    "VirtualTime",
    "a_cached_read",
    "a_queued_mutation",
    "assert_marbles",
    "hot_live",
    "record",
    "run",
]
