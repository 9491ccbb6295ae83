"""What newcomers try first: joining, mapping, asking for one value, and asking where nobody answers."""

from __future__ import annotations

import logging

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.internal import SequenceContainsNoElementsError

from lunora_rx import operators as lops
from lunora_rx.blocking import LunoraClient
from tests.blocking.conftest import NOWHERE, until


def test_blocking_query_is_the_second_source_of_an_operator(client):
    """``join`` and RxPY's own operators take it as it is, and let go of it at the end."""
    client.mutation("rows:add", {"n": 7})
    live, counted = client.live("rows:list"), client.live("rows:count")
    joined = live.pipe(lops.join(client.live("rows:list", {"channel": "main"}), on="_id"))
    assert [(row["n"], row["n_right"]) for row in joined.first(timeout=10)] == [(7, 7)]
    for operator in (ops.combine_latest(counted), ops.with_latest_from(counted), ops.zip(counted)):
        with counted.snapshots.subscribe():
            counted.first(timeout=10)
            rows, count = live.pipe(operator).first(timeout=10)
        assert (len(rows), count) == (1, 1)
    assert client.live("rows:count").pipe(ops.concat(counted), ops.take(1)).first(timeout=10) == 1
    until(lambda: client.cache.observer_count == 0)


def test_blocking_queries_are_sources_of_a_function_of_rxpy(client):
    """``reactivex.combine_latest`` subscribes on this thread, and the values come on the client's."""
    seen = []
    both = reactivex.combine_latest(client.live("rows:count"), client.live("rows:list"))
    handle = both.subscribe(seen.append)
    until(lambda: seen == [(0, [])])
    handle.dispose()
    until(lambda: client.cache.observer_count == 0)


def test_observer_object_is_subscribed(client):
    """As operators such as ``catch`` pass one on."""
    subject, seen = reactivex.Subject(), []
    subject.subscribe(seen.append)
    with client.live("rows:count").subscribe(subject):
        until(lambda: seen == [0])


def test_map_filter_and_first_need_no_pipe(client):
    """And what ``pipe`` gives has a first value, too."""
    client.mutation("rows:add", {"n": 1})
    live = client.live("rows:list")
    assert live.map(len).filter(lambda count: count > 0).first(timeout=10) == 1
    assert live.pipe(ops.map(len)).first(timeout=10) == 1
    assert client.stream("count:up", {"to": 3}).first(lambda n: n == 2, timeout=10) == 2
    with pytest.raises(SequenceContainsNoElementsError, match="ended without one"):
        client.stream("count:up", {"to": 0}).first(timeout=10)


def test_first_with_a_number_says_what_was_meant(client):
    """It is no predicate, and the message names the argument for a limit of time."""
    with pytest.raises(TypeError, match=r"predicate is a function .*, not 2; .* first\(timeout=\.\.\.\)"):
        client.live("rows:list").first(2)


def test_wait_for_a_server_that_is_not_there_says_so(no_threads_left):
    """The reason is in the error of ``first`` and of an iteration."""
    with LunoraClient(NOWHERE) as lost, lost.live("rows:list").snapshots.subscribe():
        until(lambda: lost.debug()["last_error"])
        with pytest.raises(TimeoutError, match=r"nothing within 0\.05 s: cannot connect to ws://127\.0\.0\.1:9/"):
            lost.live("rows:list").first(timeout=0.05)
        with pytest.raises(TimeoutError, match=r"no value within 0\.05 s: cannot connect to ws://127\.0\.0\.1:9/"):
            next(lost.live("rows:list").iter(timeout=0.05))


def test_call_of_a_wrong_path_names_the_url(shop, no_threads_left):
    """A 404 says what was asked, and neither user nor password."""
    url = shop.url.replace("://", "://ada:secret@") + "/wrong"
    with (
        LunoraClient(url) as lost,
        pytest.raises(Exception, match=r"http://127\.0\.0\.1:\d+/wrong/\S+ answered 404") as e,
    ):
        lost.query("rows:list")
    assert "secret" not in str(e.value)


@pytest.mark.parametrize("reads", [0, 1])
def test_import_that_was_left_behind_is_logged(shop, no_threads_left, caplog, reads):
    """Whether nobody ever looked, or somebody looked once."""
    with caplog.at_level(logging.WARNING, "lunora_rx.queue"), LunoraClient(shop.url) as client:
        started = client.import_rows("rows:add_all", [{"n": n} for n in range(5000)], chunk_size=1)
        for _ in zip(range(reads), started, strict=False):
            pass
    assert f"the import {started.import_id} ended at " in caplog.text
    assert "of 5000 rows, with its client: nobody waited for it" in caplog.text


def test_import_that_was_waited_for_logs_nothing(shop, no_threads_left, caplog):
    """There is nothing to say of one that is done."""
    with LunoraClient(shop.url) as client:
        client.import_rows("rows:add_all", [{"n": 1}]).result(10)
    assert caplog.text == ""
