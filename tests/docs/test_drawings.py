"""The drawings of docs/operators.md: what they say that operators tell is what operators tell.

Time goes from left to right, a column a second; what stands on several columns happens in the first one. Where numbers
of two digits come "every 5 seconds", six columns are so many.
"""

from __future__ import annotations

import re

import pytest
import reactivex
from reactivex.testing import ReactiveTest, TestScheduler

from lunora_rx import Backoff, TransportError
from lunora_rx import operators as lops
from tests.docs.blocks import blocks_of

DRAWN = {each.heading: each.text for each in blocks_of("docs/operators.md") if not each.language}
END = ReactiveTest.on_completed
NEXT = ReactiveTest.on_next
UNTIL = 50.0


def groups(heading):
    """Return the groups of lines of a drawing, each by what stands before its line."""
    return [
        dict(re.split(r" {2,}", line, maxsplit=1) for line in group.splitlines())
        for group in DRAWN[heading].strip("\n").split("\n\n")
    ]


def words(drawn):
    """Return what is drawn on a line, with its columns; what is written behind the line is left out."""
    line = re.split(r" {3,}", drawn)[0].rstrip("|")
    return [(found.start(), found[0].strip("()")) for found in re.finditer(r"\[[^\]]*\]|\([^)]*\)|[^-\[(]+", line)]


def play(operator, clock, source):
    """Return what an operator makes of a source, and when, on virtual time."""
    seen = []
    source.pipe(operator).subscribe(lambda value: seen.append((clock.clock, value)), scheduler=clock)
    clock.advance_to(UNTIL)
    return seen


def hot(clock, values, end=UNTIL - 1):
    """Return a source that tells values at their times."""
    return clock.create_hot_observable(*(NEXT(at, value) for at, value in values), END(end))


def rows(text):
    """Return the list that ``[a,B]`` stands for: a row each, whose id is the letter, however it is written."""
    return [{"_id": each.lower(), "text": each} for each in text.strip("[]").split(",") if each]


def operator_named(text):
    """Return the operator that stands before a line."""
    return eval(f"lops.{text}", {"lops": lops})


@pytest.mark.parametrize("number", range(5))
def test_drawing_of_time_shows_what_the_operators_tell(number):
    """Values and times, of each operator of the group."""
    drawing = groups("Time")
    (source, drawn), *operators = drawing[number].items()
    seconds = every_five_seconds if "10" in drawn else float
    values = [(seconds(at), int(word)) for at, word in words(drawn)] if source == "numbers" else letters(drawn)
    for name, promised in operators:
        clock = TestScheduler()
        made = play(operator_named(name), clock, hot(clock, values, 21.0))
        assert [(at, written(value)) for at, value in made] == [(seconds(at), word) for at, word in words(promised)]
    assert len(drawing) == 5


def every_five_seconds(column):
    """Return the time of a column where six of them are five seconds."""
    return 5.0 * round(column / 6)


def letters(drawn):
    """Return the values of a line on which each letter is one, also where they touch."""
    return [(float(at), each) for column, word in words(drawn) for at, each in enumerate(word, column)]


def written(value):
    """Return a value as it is drawn."""
    if isinstance(value, list | tuple):
        return f"[{','.join(value)}]"
    return value if isinstance(value, str) else f"{value:g}"


def test_drawing_of_rows_shows_what_the_operators_tell():
    """What is added and changed; nothing for a list that is the same."""
    (group,) = groups("Rows that change")
    values = [(float(at), rows(word)) for at, word in words(group["rows"])]

    def in_words(told):
        changed = [f"{each.old_row['text']}>{each.row['text']}" for each in told.ops if each.op == "update"]
        return ",".join([*(f"+{row['text']}" for row in told.added), *changed])

    clock = TestScheduler()
    made = play(lops.changes(), clock, hot(clock, values))
    assert [(at, in_words(told)) for at, told in made] == words(group["changes"])
    clock = TestScheduler()
    made = play(lops.row("a"), clock, hot(clock, values))
    assert [(at, row["text"]) for at, row in made] == words(group['row("a")'])


def test_drawing_of_a_join_shows_what_the_operator_tells():
    """Anew whenever either side does."""
    (group,) = groups("Joins")
    (name,) = [each for each in group if each.startswith("join")]
    clock = TestScheduler()
    messages = [
        (float(at), [{"_id": each[0], "by": each[-1]} for each in word.strip("[]").split(", ")])
        for at, word in words(group["messages"])
    ]
    users = hot(clock, [(float(at), rows(word)) for at, word in words(group["users"])])
    made = play(eval(f"lops.{name}", {"lops": lops, "users": users}), clock, hot(clock, messages))
    shown = [(at, f"[{', '.join(row['_id'] + row['by'] for row in joined)}]") for at, joined in made]
    assert shown == words(group[name])


def test_drawing_of_errors_shows_what_the_operator_tells():
    """Each try is a new one, and tells what the drawing has it tell."""
    (group,) = groups("Errors")
    *tries, (name, promised) = group.items()
    left = [[word for _, word in words(drawn.strip("."))] for _, drawn in tries]

    def next_try(*_):
        told = left.pop(0)
        values = reactivex.from_iterable(each for each in told if each != "X")
        broken = reactivex.throw(TransportError("gone", transient=True))
        return values if "X" not in told else reactivex.concat(values, broken)

    assert (name, len(left)) == ("retry_backoff()", 3)
    clock = TestScheduler()
    made = play(lops.retry_backoff(Backoff(initial=1.0)), clock, reactivex.defer(next_try))
    assert [value for _, value in made] == [word for _, word in words(promised)]
    assert left == []


def test_drawing_of_frames_shows_what_the_operator_tells():
    """A column of numbers, which stays where there are no rows."""
    pytest.importorskip("pandas", reason="to_frame makes frames of pandas")
    (group,) = groups("Frames")
    clock = TestScheduler()
    lists = [(at, re.findall(r"n:(\d)", word)) for at, word in words(group["rows"])]
    values = [(float(at), [{"n": int(each)} for each in numbers]) for at, numbers in lists]
    made = play(lops.to_frame(), clock, hot(clock, values))
    shown = [(at, f"n: {', '.join(map(str, frame['n']))}".strip()) for at, frame in made]
    assert shown == words(group["to_frame()"])
