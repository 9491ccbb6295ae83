"""A server with one of everything, its clients, and what the server has received of them."""

from __future__ import annotations

import contextlib

from lunora_rx import Backoff, LunoraClient, Phase, Status
from lunora_rx.devserver import App
from tests.coverage_of_protocol.offer import ADD, LIST, Traces, register
from tests.coverage_of_protocol.wire import Wire
from tests.support import Recorder, until

BRIEF = Backoff(initial=0.01, maximum=0.03)
ANA = {"auth_token": "token-1", "auth_subject": "ana"}


class Scene(Traces):
    """A running server and clients of it.

    Attributes:
        app: The server's app.
        url: Where it is.
        heard: The types of the frames that it has received, in order.
    """

    def __init__(self, app: App, heard: list[str]) -> None:
        super().__init__()
        self.app = app
        self.url = ""
        self.heard = heard
        self.clients = contextlib.AsyncExitStack()

    @property
    def faults(self):
        """The switches of the server."""
        return self.app.faults

    @property
    def watched(self):
        """How many live queries and how many shapes the server carries."""
        shard = self.app.backend.shard()
        return len(shard.live), len(shard.shapes)

    @property
    def topics(self):
        """The whisper topics that sockets have joined."""
        return {topic for member in self.app.backend.shard().members for topic in member.topics}

    async def client(self, **options):
        """Return a client that reconnects at once and never polls; it is closed at the end."""
        calm = {"reconnect": BRIEF, "polling": None, "transport": Wire(), **options}
        return await self.clients.enter_async_context(LunoraClient(self.url, **calm))

    async def watching(self, observer, function=LIST, args=None, **options):
        """Return a client with a live query that has its first value."""
        client = await self.client(**options)
        live = client.live(function, args)
        live.subscribe(observer)
        await until(lambda: live.snapshot.has_value)
        return client

    async def cut_off(self, **options):
        """Return a client that was connected and cannot connect again until the faults are released."""
        client = await self.client(**options)
        live = client.live(LIST)
        live.snapshots.subscribe(Recorder())
        await until(lambda: live.snapshot.has_value)
        self.faults.refuse_sockets()
        self.faults.drop_sockets()
        await until(lambda: client.status.value is not Status.CONNECTED)
        return client

    async def queued(self, client, number=1, **options):
        """Return a write that waits in the offline queue."""
        mutation = client.mutation(ADD, {"n": number}, **options)
        await until(lambda: mutation.phases.latest is Phase.QUEUED)
        return mutation


@contextlib.asynccontextmanager
async def serving(app: App, heard: list[str]):
    """Serve an app with one of everything, and yield the scene; ``heard`` is where its frames are noted."""
    scene = Scene(app, heard)
    register(app, scene)
    async with app.serve() as scene.url, scene.clients:
        yield scene
        scene.gate.set()
        scene.faults.release()
