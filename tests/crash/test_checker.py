"""The checker can fail: each promise, broken once in what a run might leave behind."""

from __future__ import annotations

import pytest

from tests.crash.checker import check
from tests.crash.evidence import Evidence
from tests.crash.log import DEFAULT, parse_line
from tests.crash.plan import USERS, Moment, WriterLife

_NEVER = Moment("opening", 1, 0.0)


def lived(process, *, stage=1, is_alone=True):
    """Return what the plan had for a process."""
    return WriterLife(process, stage, is_alone, "", _NEVER)


def evidence(*logs, table, left=(), damaged=(), lives=None, drained=True):
    """Return what processes with these logs, lines between semicolons, might have left."""
    said = [*logs[:-1], f"{logs[-1]}; drained" if drained else logs[-1]]
    lines = {process: [parse_line(line.strip()) for line in text.split(";")] for process, text in enumerate(said)}
    planned = lives or {process: lived(process) for process in lines}
    return Evidence(lines, planned, {DEFAULT: table}, list(left), list(damaged))


def kinds(found):
    """Return the kinds of promises that the checker finds broken."""
    return [breach.kind for breach in check(found)]


TWO_QUEUED = "opening; composed 0-0 -; composed 0-1 -; queued 0-0; queued 0-1"


def test_run_without_fault_breaks_no_promise():
    """Everything queued is in the table, in order, and settled by the next process."""
    settled = "opening; settled 0-0 committed -; settled 0-1 committed -"
    assert kinds(evidence(TWO_QUEUED, settled, table=["0-0", "0-1"])) == []


@pytest.mark.parametrize("last", ["queued 0-1", "committed 0-1", "settled 0-1 committed -"])
def test_acknowledged_write_that_no_table_holds_is_lost(last):
    """Whichever way it was acknowledged."""
    assert kinds(evidence(f"opening; composed 0-0 -; queued 0-0; composed 0-1 -; {last}", table=["0-0"])) == ["lost"]


def test_unacknowledged_write_may_be_lost_or_there():
    """A process that dies before it hears anything was promised nothing."""
    log = "opening; composed 0-0 -; sent 0-0"
    assert kinds(evidence(log, table=[])) == kinds(evidence(log, table=["0-0"])) == []


def test_row_that_is_there_twice_is_doubled():
    """Acknowledged or not."""
    assert kinds(evidence("opening; composed 0-0 -; sent 0-0", table=["0-0", "0-0"])) == ["doubled"]


@pytest.mark.parametrize("log", ["opening", "opening; composed 0-0 left"], ids=["never composed", "other shard"])
def test_row_of_a_write_that_was_not_composed_for_the_shard_is_foreign(log):
    """It came from nowhere, or to the wrong place."""
    assert kinds(evidence(log, table=["0-0"])) == ["foreign"]


def test_queued_writes_that_changed_places_are_out_of_order():
    """They were reported as queued in another order than they were carried out in."""
    assert kinds(evidence(TWO_QUEUED, table=["0-1", "0-0"])) == ["out of order"]


def test_write_that_overtook_a_queued_one_is_out_of_order():
    """Even one that was sent directly: it was composed after the other was queued."""
    log = "opening; composed 0-0 -; queued 0-0; composed 0-1 -; sent 0-1; committed 0-1"
    assert kinds(evidence(log, table=["0-1", "0-0"])) == ["out of order"]


def test_write_of_a_later_process_that_overtook_is_out_of_order():
    """One who has the directory to itself goes on with the lane of the one before."""
    logs = ("opening; composed 0-0 -; queued 0-0", "opening; composed 1-0 -; queued 1-0")
    assert kinds(evidence(*logs, table=["1-0", "0-0"])) == ["out of order"]


def test_processes_that_share_the_directory_have_no_order_between_them():
    """Each has a lane of its own, and order within it."""
    logs = ("opening; composed 0-0 -; queued 0-0", "opening; composed 1-0 -; composed 1-1 -; queued 1-0; queued 1-1")
    lives = {process: lived(process, is_alone=False) for process in range(2)}
    assert kinds(evidence(*logs, table=["1-0", "0-0", "1-1"], lives=lives)) == []
    assert kinds(evidence(*logs, table=["1-1", "0-0", "1-0"], lives=lives)) == ["out of order"]


def test_write_that_came_before_what_its_process_adopted_is_out_of_order():
    """Who has the directory to itself sends first what others left, if it comes to send anything."""
    logs = ("opening; composed 0-0 -; queued 0-0", "opening; composed 1-0 -; sent 1-0")
    lives = {0: lived(0, is_alone=False), 1: lived(1, stage=2)}
    unheard = evidence(*logs, table=["1-0", "0-0"], lives=lives)
    heard = evidence(logs[0], f"{logs[1]}; committed 1-0", table=["1-0", "0-0"], lives=lives)
    assert kinds(unheard) == []
    assert kinds(heard) == ["out of order"]


def test_write_that_was_sent_before_it_was_queued_may_have_come_any_time():
    """Its first sending may have been carried out, and only the reply was lost."""
    log = "opening; composed 0-0 -; sent 0-0; composed 0-1 -; queued 0-1; queued 0-0"
    assert kinds(evidence(log, table=["0-0", "0-1"])) == kinds(evidence(log, table=["0-1", "0-0"])) == []


def test_write_that_overtook_one_that_had_come_back_is_out_of_order():
    """One that was sent, and queued when no reply came, holds up all that come after it like any other."""
    log = "opening; composed 0-0 -; sent 0-0; queued 0-0; composed 0-1 -; sent 0-1; committed 0-1"
    assert kinds(evidence(log, table=["0-1", "0-0"])) == ["out of order"]


def test_write_that_is_settled_twice_in_one_process_is_reported():
    """In two processes it may be: the first may have died before it could remove the record."""
    twice = "settled 0-0 committed -; settled 0-0 committed -"
    log = "opening; composed 0-0 -; queued 0-0"
    assert kinds(evidence(log, f"opening; {twice}", table=["0-0"])) == ["told twice"]
    assert kinds(evidence(f"{log}; settled 0-0 committed -", "settled 0-0 committed -", table=["0-0"])) == []


@pytest.mark.parametrize("line", ["rejected 0-0", "settled 0-0 rejected OFFLINE_QUEUE_OVERFLOW"])
def test_rejected_write_is_reported(line):
    """The server refuses none, and nothing else should."""
    assert "rejected" in kinds(evidence(f"opening; composed 0-0 -; {line}", table=["0-0"]))


def test_trouble_and_what_is_left_behind_are_reported():
    """A complaint of the storage, a record in the queue, a traceback, a damaged database, a last writer without end."""
    found = evidence(
        "opening; trouble StorageError cannot write", table=[], left=["0-0"], damaged=["damaged/1"], drained=False
    )
    found.crashes.append("KeyError: 1")
    assert kinds(found) == ["trouble", "left", "crashed", "damaged", "stuck"]


def two_users(*logs, table, authors=None, handed_over=()):
    """Return what a process of Ada's and then one of Bob's might have left, and the drain, which is Bob's too."""
    lives = {number: WriterLife(number, number + 1, True, "", _NEVER, user) for number, user in enumerate(USERS)}
    found = evidence(*logs, table=table, lives=lives)
    found.authors = authors or {name: USERS[int(name[0])] for name in table}
    found.handed_over = set(handed_over)
    return found


def test_write_that_was_carried_out_for_another_user_is_reported():
    """Bob's process adopts what Ada's left, and must not send it."""
    logs = ("opening; composed 0-0 -; queued 0-0", "opening; settled 0-0 committed -")
    assert kinds(two_users(*logs, table=["0-0"])) == []
    assert kinds(two_users(*logs, table=["0-0"], authors={"0-0": "bob"})) == ["wrong user"]


def test_write_in_the_queue_when_the_user_changes_may_be_rejected_with_the_code_for_it():
    """Only such a write, only by the other user's process, and for no other reason."""
    queued = "opening; composed 0-0 -; queued 0-0"
    rejected = "settled 0-0 rejected OFFLINE_IDENTITY_CHANGED"
    assert kinds(two_users(queued, rejected, table=[], handed_over=["0-0"])) == []
    assert kinds(two_users(queued, rejected, table=[])) == ["lost", "rejected"]
    overflow = rejected.replace("IDENTITY_CHANGED", "QUEUE_OVERFLOW")
    assert kinds(two_users(queued, overflow, table=[], handed_over=["0-0"])) == ["rejected"]
    assert kinds(two_users(f"{queued}; {rejected}", "opening", table=[], handed_over=["0-0"])) == ["rejected"]


@pytest.mark.parametrize("shown", ["0-1/ada", "0-0/ada 0-1/ada", "0-1/bob 0-0/ada", ""])
def test_live_query_that_shows_something_else_than_the_table_is_reported(shown):
    """A row too few, in another order, of another author, or nothing."""
    log = "opening; composed 0-0 -; queued 0-0; composed 0-1 -; queued 0-1"
    assert kinds(two_users(log, "opening; shown - 0-1/ada 0-0/ada", table=["0-0", "0-1"])) == []
    told = f"opening; shown - {shown}".rstrip()
    assert kinds(two_users(log, told, table=["0-0", "0-1"])) == ["not shown"]
