"""Faults of the connection, with writes on their way."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from lunora_rx import Phase, Polling, Status
from lunora_rx.errors import ClientClosedError, TransportError
from lunora_rx.interfaces import Tap
from lunora_rx.protocol.frame_text import FrameText
from tests.faults import oracle
from tests.faults.customer import phases_of, until
from tests.faults.link import opened_afar
from tests.faults.process import opened_apart
from tests.faults.proxy import End, Way
from tests.faults.shop import HEARTBEAT

ends = pytest.mark.parametrize("end", [End.FIN, End.RST], ids=["closed", "reset"])
needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="there is no SIGSTOP here")
# A ping each heartbeat, and the end after two and a half; a loaded machine sends fewer in that time, never more.
PINGS = (1, 2, 3)


class Silence(Tap):
    """Counts heartbeats, however long a loaded machine takes for each.

    Attributes:
        pings: How many were sent since anything came, up to the end of the connection.
    """

    def __init__(self) -> None:
        self.pings = 0
        self._is_over = False

    def note_frame(self, shard: str, frame: FrameText) -> None:
        if frame.is_inbound and not self._is_over:
            self.pings = 0
        elif frame.type == "ping" and not self._is_over:
            self.pings += 1

    def note_socket(self, shard: str, stage: str, code: int | None) -> None:
        self._is_over = self._is_over or stage == "closed"


@pytest.mark.fault(1, 2, 43)
@pytest.mark.parametrize("after", [1, 2, 40, 250])
@ends
async def test_socket_ended_inside_a_frame_is_resumed(shop, ada, end, after):
    """A frame that broke off is dropped, the client reconnects and subscribes again, and each write is kept once."""
    await ada.write(0, 1)
    shop.sockets.cut(after=after, end=end)
    await ada.write(*range(2, 12))
    await until(lambda: shop.sockets.connections > 1)
    await ada.write(12)
    await oracle.check(shop, ada, range(13))


@pytest.mark.fault(43)
@ends
async def test_socket_ended_between_frames_shows_nothing_twice(shop, ada, end):
    """The value that was shown stays, is not told again when the socket is back, and goes on from there."""
    await ada.write(0)
    await oracle.check(shop, ada, [0])
    shown = len(ada.shown.values)
    shop.sockets.cut(end=end)
    await until(lambda: shop.sockets.connections > 1)
    await ada.until_status(Status.CONNECTED)
    await until(lambda: ada.live.snapshot.status == "live")
    assert len(ada.shown.values) == shown
    await ada.write(1)
    await oracle.check(shop, ada, range(2))


@pytest.mark.fault(1, 2, 43)
@ends
async def test_socket_ended_during_the_handshake_is_tried_again(shop, ada, end):
    """An answer that breaks off is no socket: the next attempt makes one, and what waited goes out."""
    shop.sockets.cut()
    shop.sockets.cut(after=20, end=end)
    await ada.until_status(Status.OFFLINE, Status.CONNECTING)
    await ada.write(0, 1)
    await oracle.check(shop, ada, range(2))
    assert shop.sockets.connections == 3


@pytest.mark.fault(1, 2)
@pytest.mark.parametrize("after", [1, 300])
@pytest.mark.parametrize("way", Way)
@ends
async def test_call_ended_inside_its_bytes_is_replayed_and_applied_once(shop, ada, way, after, end):
    """A request or a reply that broke off leaves the write's fate unknown: it is sent again under its id."""
    await ada.write(0)
    shop.calls.cut(after=after, way=way, end=end)
    await ada.write(1, 2, 3)
    await oracle.check(shop, ada, range(4))
    assert shop.runs == [0, 1, 2, 3]
    assert any(ada.was_queued(number) for number in (1, 2, 3))


@pytest.mark.parametrize(
    "way",
    [pytest.param(Way.DOWN, marks=pytest.mark.fault(3, 44)), pytest.param(Way.UP, marks=pytest.mark.fault(4, 44))],
)
async def test_connection_gone_silent_is_noticed_and_its_write_replayed(shop, way):
    """Within 2.5 heartbeats the client knows; a call under way fails as ``TransportError``, a write is replayed."""
    async with shop.customer(request_timeout=1.0) as ada:
        await ada.write(0, 1)
        await asyncio.gather(ada.client.query("rows:list"), ada.client.query("rows:list"))  # two connections to strand
        ada.client.tap(silence := Silence())
        for proxy in (shop.sockets, shop.calls):
            proxy.strand(way)
        write, query = ada.add(2), ada.client.query("rows:list")
        await until(lambda: ada.client.status.value is not Status.CONNECTED)
        assert silence.pings in PINGS
        with pytest.raises(TransportError):
            await query
        await until(lambda: write.is_settled or Phase.QUEUED in phases_of(write))
        await ada.write(3, 4)
        await oracle.check(shop, ada, range(5))
        assert ada.was_queued(2)
        await oracle.check_closed(ada)


@pytest.mark.parametrize(
    "way", [pytest.param(Way.DOWN, marks=pytest.mark.fault(3)), pytest.param(Way.UP, marks=pytest.mark.fault(4))]
)
async def test_network_that_swallows_everything_holds_writes_until_it_passes(shop, way):
    """Attempts to connect are given up one after the other; what is written meanwhile waits, in order."""
    async with shop.customer(request_timeout=0.5, connect_timeout=0.2) as ada:
        await ada.write(0)
        for proxy in (shop.sockets, shop.calls):
            proxy.swallow(way)
        await ada.until_status(Status.OFFLINE)
        await ada.write(1, 2, 3)
        attempts = shop.sockets.connections
        await until(lambda: shop.sockets.connections > attempts + 1)
        assert ada.pending == 3
        assert ada.numbers == [0, 1, 2, 3]
        await shop.heal()
        await oracle.check(shop, ada, range(4))
        await oracle.check_closed(ada)


@pytest.mark.fault(3, 44)
@pytest.mark.slow
async def test_cable_that_is_pulled_is_noticed_and_its_write_replayed(watched):
    """A real link that is down says nothing to anybody: as above, and all goes on when it is back."""
    async with opened_afar() as (shop, link), shop.customer(request_timeout=1.0, connect_timeout=0.5) as ada:
        await ada.write(0, 1)
        ada.client.tap(silence := Silence())
        link.pull()
        write, query = ada.add(2), ada.client.query("rows:list")
        await until(lambda: ada.client.status.value is not Status.CONNECTED)
        assert silence.pings in PINGS
        with pytest.raises(TransportError):
            await query
        await until(lambda: Phase.QUEUED in phases_of(write))
        await ada.write(3, 4)
        link.plug_in()
        await oracle.check(shop, ada, range(5))
        assert await shop.ask("server:runs") == [0, 1, 2, 3, 4]
        await oracle.check_closed(ada)


@pytest.mark.fault(3, 44)
async def test_connection_that_stalls_and_flows_again_is_replaced_once(shop, ada):
    """What the old socket says when it flows again is heard by nobody."""
    await ada.write(0)
    shop.sockets.stall(Way.DOWN)
    await ada.write(1)
    await ada.until_status(Status.OFFLINE, Status.CONNECTING)
    await shop.heal()
    await ada.write(2)
    await oracle.check(shop, ada, range(3))


@pytest.mark.fault(5)
@needs_signals
async def test_frozen_server_is_noticed_and_gets_each_write_once(watched):
    """A server that stops in the middle is as good as gone; thawed, it carries out nothing twice."""
    async with opened_apart() as (shop, process), shop.customer(request_timeout=0.5, connect_timeout=0.3) as ada:
        await ada.write(0, 1)
        process.signal(signal.SIGSTOP)
        write = ada.add(2)
        await until(lambda: Phase.QUEUED in phases_of(write))
        await ada.until_status(Status.OFFLINE)
        await ada.write(3, 4)
        process.signal(signal.SIGCONT)
        await oracle.check(shop, ada, range(5))
        assert await shop.ask("server:runs") == [0, 1, 2, 3, 4]
        await oracle.check_closed(ada)


@pytest.mark.fault(6, 48)
@ends
async def test_reply_lost_after_the_commit_is_replayed_and_applied_once(shop, ada, end):
    """The server knows the id of a write that it has carried out, and answers as it did before."""
    await ada.write(0)
    shop.calls.cut_before(Way.DOWN, end=end)
    write = ada.add(1)
    await write
    assert phases_of(write) == [Phase.COMPOSED, Phase.SENT, Phase.QUEUED, Phase.SENT, Phase.COMMITTED]
    await oracle.check(shop, ada, range(2))
    assert shop.runs == [0, 1]


@pytest.mark.fault(6, 48)
@ends
async def test_reply_to_a_batch_lost_after_the_commit_is_replayed_and_applied_once(shop, ada, end):
    """The same for a whole replay: every write of it is known to the server."""
    shop.cut()
    await ada.until_status(Status.OFFLINE)
    await ada.write(*range(5))
    await shop.calls.accept()
    shop.calls.cut_before(Way.DOWN, end=end)
    await shop.sockets.accept()
    await oracle.check(shop, ada, range(5))
    assert shop.runs == [*range(5)]
    assert phases_of(ada.writes[4]).count(Phase.SENT) == 2


@pytest.mark.fault(11)
async def test_server_that_lost_everything_gets_what_is_queued(shop, ada):
    """The live query starts afresh, and the queue is replayed to the server that knows nothing of the past."""
    await ada.write(0, 1)
    shop.cut()
    await ada.until_status(Status.OFFLINE)
    await ada.write(2, 3)
    shop.faults.restart()
    assert ada.numbers == [0, 1, 2, 3]
    await shop.heal()
    del ada.writes[0], ada.writes[1]
    await oracle.check(shop, ada, [2, 3])
    assert shop.runs == [0, 1, 2, 3]


@pytest.mark.fault(11)
@pytest.mark.parametrize("keeps", [True, False], ids=["with its rows", "with nothing"])
async def test_server_killed_and_started_again_gets_what_is_queued(watched, tmp_path, keeps):
    """A new process on the same port is found again, and each write is in its table once."""
    async with opened_apart(tmp_path / "rows" if keeps else None) as (shop, process), shop.customer() as ada:
        await ada.write(0, 1)
        write = ada.add(2)
        await process.kill()
        await until(lambda: write.is_settled or Phase.QUEUED in phases_of(write))
        await ada.until_status(Status.OFFLINE)
        await ada.write(3, 4)
        await process.start()
        lost = [] if keeps else [number for number in (0, 1, 2) if ada.writes[number].is_settled]
        for number in lost:
            del ada.writes[number]
        await oracle.check(shop, ada, [number for number in range(5) if number not in lost])
        await oracle.check_closed(ada)


@pytest.mark.fault(13)
async def test_closed_port_holds_writes_until_it_opens(shop, ada):
    """The status says offline, writes queue and are shown, and go out in order once somebody listens."""
    await ada.write(0)
    shop.cut()
    await ada.until_status(Status.OFFLINE)
    await ada.write(1, 2, 3)
    assert ada.pending == 3
    assert ada.numbers == [0, 1, 2, 3]
    await shop.heal()
    await oracle.check(shop, ada, range(4))
    assert ada.verdicts == [(number, "committed", None) for number in (1, 2, 3)]


@pytest.mark.fault(13)
async def test_port_closed_from_the_start_holds_writes_if_so_asked(shop):
    """A client that never was connected queues too, when it is told to."""
    shop.cut()
    async with shop.customer(is_connected=False, queue_before_first_connect=True) as ada:
        await ada.write(0, 1)
        await ada.until_status(Status.OFFLINE)
        assert ada.pending == 2
        await shop.heal()
        await oracle.check(shop, ada, range(2))
        await oracle.check_closed(ada)


@pytest.mark.fault(13)
async def test_port_closed_from_the_start_fails_writes_by_default(shop):
    """Without that, and without storage, a write to a server that never answered fails as ``TransportError``."""
    shop.cut()
    async with shop.customer(is_connected=False) as ada:
        assert isinstance(await ada.verdict_on(0), TransportError)
        assert ada.pending == 0
        await shop.heal()
        await oracle.check(shop, ada, [])
        await oracle.check_closed(ada)


@pytest.mark.fault(26)
@pytest.mark.parametrize("kind", ["7-byte segments", "300 ms delay", "20 kB/s"])
async def test_poor_link_is_only_slower(shop, ada, kind):
    """Every write arrives, once and in order, and every value is the server's."""
    for proxy in (shop.sockets, shop.calls):
        if kind == "7-byte segments":
            proxy.split(7)
        elif kind == "300 ms delay":
            proxy.delay(0.3)
        else:
            proxy.throttle(20_000)
    await ada.write(0, 1)
    await oracle.check(shop, ada, range(2))
    shop.sockets.cut()
    await ada.until_status(Status.OFFLINE, Status.CONNECTING)
    await ada.write(2, 3)
    await oracle.check(shop, ada, range(4))
    assert shop.runs == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(5 * HEARTBEAT, marks=pytest.mark.fault(31, 54)),
        pytest.param(5, marks=[pytest.mark.fault(31), pytest.mark.slow]),
        pytest.param(10, marks=[pytest.mark.fault(54), pytest.mark.slow]),
    ],
)
async def test_blocked_loop_reconnects_once_at_most_and_sends_nothing_twice(watched, seconds):
    """However long the loop stood still: what came meanwhile counts, and timers do not fire in a storm."""
    loop, frames = asyncio.get_running_loop(), []
    async with opened_apart() as (shop, _), shop.customer() as ada:
        await ada.write(0, 1)
        write = ada.add(2)
        await until(lambda: Phase.SENT in phases_of(write))
        shop.sockets.change(Way.UP, lambda chunk: frames.append(loop.time()) or chunk)
        loop.call_soon(time.sleep, seconds)
        await ada.write(3, 4)
        thawed_at = loop.time()
        await oracle.check(shop, ada, range(5))
        await until(lambda: frames and loop.time() > thawed_at + 2 * HEARTBEAT)
        assert await shop.ask("server:runs") == [0, 1, 2, 3, 4]
        assert await shop.ask("server:attempts") <= 2
        # A handshake, two frames of a new socket, and a ping each heartbeat.
        assert len(frames) <= 4 + (loop.time() - thawed_at) / HEARTBEAT
        await oracle.check_closed(ada)


@pytest.mark.fault(13)
async def test_calls_refused_behind_an_open_socket_are_tried_until_they_get_through(shop, ada):
    """The queue never stalls because the socket, which would bring it back, is not what is broken."""
    await ada.write(0)
    shop.calls.refuse()
    await ada.write(1, 2, 3)
    assert ada.client.status.value is Status.CONNECTED
    await until(lambda: phases_of(ada.writes[1]).count(Phase.SENT) > 3)
    assert ada.numbers == [0, 1, 2, 3]
    await shop.heal()
    await oracle.check(shop, ada, range(4))
    assert shop.sockets.connections == 1


@pytest.mark.fault(13)
async def test_writes_wait_for_a_socket_that_is_refused_though_calls_get_through(shop, ada):
    """Without a socket a write waits, and what was composed first goes out first."""
    shop.sockets.refuse()
    await ada.until_status(Status.OFFLINE)
    await ada.write(0, 1)
    assert await ada.client.query("rows:list") == []
    assert ada.pending == 2
    await shop.heal()
    await oracle.check(shop, ada, range(2))


@pytest.mark.fault(13)
@pytest.mark.parametrize(
    "garbage", [b"", b"\0\xff garbage", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhtml", b"HTTP/1.1 5"]
)
async def test_somebody_else_behind_the_port_gets_nothing_across(shop, ada, garbage):
    """Whatever answers instead of the server: no socket is made of it, no verdict, and nothing is lost."""
    await ada.write(0)
    shop.cut()
    await ada.until_status(Status.OFFLINE)
    for proxy in (shop.sockets, shop.calls):
        proxy.answer(garbage)
        await proxy.accept()
    attempts = shop.sockets.connections
    await ada.write(1, 2)
    await until(lambda: shop.sockets.connections > attempts + 2)
    assert ada.pending == 2
    await shop.heal()
    await oracle.check(shop, ada, range(3))


@pytest.mark.fault(13)
async def test_writes_go_out_by_polling_where_no_socket_can_be_had(shop):
    """After some attempts in vain the queue goes over HTTP, and later writes do at once."""
    polling = Polling(interval=0.05, after_failures=2)
    async with shop.customer(polling=polling) as ada:
        await ada.write(0)
        shop.sockets.refuse()
        await ada.until_status(Status.OFFLINE)
        await ada.write(1, 2)
        await ada.until_status(Status.POLLING)
        await until(lambda: not ada.pending)
        await ada.write(3)
        assert not ada.was_queued(3)
        await until(lambda: ada.numbers == [0, 1, 2, 3])
        assert [row["n"] for row in await shop.table()] == [0, 1, 2, 3]
        await shop.heal()
        await oracle.check(shop, ada, range(4))
        await oracle.check_closed(ada)


@pytest.mark.fault(59)
@pytest.mark.parametrize("is_queued", [False, True], ids=["direct", "queued"])
async def test_client_closed_with_writes_in_flight_leaves_nothing_behind(shop, is_queued):
    """Who waits is told ``ClientClosedError``, which is no verdict, and nothing runs on."""
    async with shop.customer() as ada:
        if is_queued:
            shop.cut()
            await ada.until_status(Status.OFFLINE)
        shop.faults.stall()
        ada.add(0)
        await shop.heal()
        query = ada.client.query("rows:list")
        await until(lambda: shop.runs == [0])
        await oracle.check_closed(ada)
        assert isinstance(await ada.verdict_on(0), ClientClosedError)
        assert Phase.REJECTED not in phases_of(ada.writes[0])
        with pytest.raises(ClientClosedError):
            await query
    shop.faults.release()
    assert [row["n"] for row in await shop.table()] == [0]
