"""One client, many threads: nothing is lost, and nothing is left."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

from lunora_rx.blocking import LunoraClient
from tests.blocking.conftest import until

THREADS = 16


def test_many_threads_call_and_iterate_at_once(client):
    """Each call gets its own result, each iteration sees the last state, and no thread is made for it."""

    def work(number):
        live = client.live("rows:list", {"channel": str(number % 4)})
        values = live.iter(timeout=30)
        for n in range(10):
            assert client.action("math:square", {"n": number * n}) == (number * n) ** 2
            client.mutation("rows:add", {"n": n, "channel": str(number % 4)})
        seen = 0
        for rows in values:
            assert len(rows) >= seen
            seen = len(rows)
            if seen == 10 * THREADS // 4:
                return seen
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        before = threading.active_count()
        results = list(pool.map(work, range(THREADS)))
        assert threading.active_count() <= before + THREADS + 1
    assert results == [40] * THREADS
    gc.collect()
    until(lambda: client.cache.observer_count == 0)


def test_first_use_by_many_threads_starts_one_thread(shop, no_threads_left):
    """They all wait for the same beginning."""
    with LunoraClient(shop.url) as client, ThreadPoolExecutor(THREADS) as pool:
        start = threading.Barrier(THREADS)

        def use(number):
            start.wait(10)
            return client.action("math:square", {"n": number})

        assert list(pool.map(use, range(THREADS))) == [n * n for n in range(THREADS)]
        assert [each.name for each in threading.enumerate()].count("lunora-blocking") == 1


def test_consumer_slower_than_its_producer_sees_the_newest(client):
    """Values that nobody took give way: the next one is the state of now, and then there is none."""
    values = client.live("rows:list").iter(timeout=10)
    for n in range(50):
        client.mutation("rows:add", {"n": n})
    client.live("rows:list").first(lambda rows: len(rows) == 50, timeout=10)
    assert len(next(values)) == 50


def test_iterator_that_is_dropped_is_released(client):
    """With its last reference, also if that is in a cycle, or in a traceback."""
    live = client.live("rows:list")
    next(iter(live))
    cycle = [live.iter()]
    cycle.append(cycle)
    next(cycle[0])
    assert client.cache.observer_count >= 1
    del cycle
    gc.collect()
    until(lambda: client.cache.observer_count == 0)


def test_client_that_is_forgotten_ends_with_its_last_iterator(shop, no_threads_left):
    """What it gave out keeps it alive; then its thread ends, with no one waiting for it."""
    values = LunoraClient(shop.url).live("rows:list").iter(timeout=10)
    gc.collect()
    assert next(values) == []
    assert any(each.name == "lunora-blocking" for each in threading.enumerate())
    del values
    gc.collect()
    until(lambda: not any(each.name == "lunora-blocking" for each in threading.enumerate()))


def test_client_that_is_only_held_open_ends_with_what_holds_it(shop, no_threads_left):
    """As in a cache that tells nobody when it lets go."""
    live = LunoraClient(shop.url).live("rows:list")
    cached = live, live.snapshots.subscribe()
    assert live.first(timeout=10) == []
    del live, cached
    gc.collect()
    until(lambda: not any(each.name == "lunora-blocking" for each in threading.enumerate()))


def test_closing_while_others_begin_hangs_nobody(shop, no_threads_left):
    """Whoever comes too late is told that the client is closed."""
    for _ in range(10):
        client = LunoraClient(shop.url)

        def use(number, client=client):
            try:
                return [client.action("math:square", {"n": number}), list(client.live("rows:list").iter(timeout=30))]
            except Exception as error:
                return getattr(error, "code", error)

        with ThreadPoolExecutor(8) as pool:
            results = [pool.submit(use, n) for n in range(8)]
            client.close()
            codes = [result.result(30) for result in results]
        assert all(code == "CLIENT_CLOSED" or isinstance(code, list) for code in codes)
