"""What the dashboards share, and how rows reach a ColumnDataSource; no library of theirs is needed."""

from __future__ import annotations

import re

import pytest
from reactivex.subject import Subject

from lunora_rx import Snapshot, SnapshotStatus, Status
from lunora_rx.adapters import COLOURS, badge_html, freshness, freshness_of, in_frames, load
from lunora_rx.adapters.bokeh import Filling
from tests.support import Recorder, until

PENDING, LIVE, STALE, FAILED = (Snapshot(status) for status in SnapshotStatus)


class Table:
    """A data source that applies what it is told as Bokeh does, and remembers in which way it was told."""

    def __init__(self):
        self.calls = []
        self._data = {}

    @property
    def data(self):
        """The columns."""
        return self._data

    @data.setter
    def data(self, columns):
        self.calls.append("data")
        self._data = columns

    def stream(self, columns, rollover):
        """Add rows at the end, and drop those at the front."""
        self.calls.append("stream")
        self._data = {name: (self._data[name] + new)[-rollover:] for name, new in columns.items()}

    def patch(self, patches):
        """Change cells."""
        self.calls.append("patch")
        for name, cells in patches.items():
            for index, value in cells:
                self._data[name][index] = value


def rows(**values):
    """Return rows by key."""
    return [{"_id": key, "n": value} for key, value in values.items()]


def show(*lists):
    """Return a table that was shown lists of rows, one after the other, and checked after each."""
    table = Table()
    filling = Filling(table, {"n": lambda row: row["n"]}, "_id")
    for each in lists:
        filling.show(each)
        assert table.data == {"n": [row["n"] for row in each]}
    return table


@pytest.mark.parametrize(
    ("after", "calls"),
    [
        (rows(a=1, b=2, c=3), []),
        (rows(a=1, b=5, c=3), ["patch"]),
        (rows(a=1, b=2, c=3, d=4), ["stream"]),
        (rows(b=2, c=3, d=4), ["stream"]),
        (rows(c=9, d=4, e=5), ["stream", "patch"]),
        (rows(c=3, d=4), ["stream"]),
        (rows(b=2, c=3), ["data"]),
        (rows(a=1, c=3), ["data"]),
        (rows(c=3, b=2, a=1), ["stream"]),
        (rows(b=2, a=1, c=3), ["data"]),
        (rows(z=0, a=1, b=2), ["data"]),
        (rows(x=1, y=2), ["data"]),
        ([], ["data"]),
    ],
)
def test_rows_reach_a_source_in_the_cheapest_way(after, calls):
    """What comes at the end and leaves at the front is streamed, cells are patched, all else is sent as a whole."""
    assert show(rows(a=1, b=2, c=3), after).calls == ["data", *calls]


def test_rows_that_come_after_none_are_shown():
    """An empty list is no place to stream from."""
    assert show([], rows(a=1), [], rows(b=2)).calls == ["data"] * 4


@pytest.mark.parametrize(
    ("snapshot", "status", "word"),
    [
        (LIVE, Status.CONNECTED, "live"),
        (LIVE, Status.POLLING, "live"),
        (LIVE, Status.OFFLINE, "live"),
        (STALE, Status.CONNECTING, "stale"),
        (STALE, Status.OFFLINE, "offline"),
        (PENDING, Status.OFFLINE, "offline"),
        (PENDING, Status.CONNECTING, "pending"),
        (FAILED, Status.OFFLINE, "failed"),
    ],
)
def test_freshness_is_the_worst_of_query_and_connection(snapshot, status, word):
    """What is not up to date is offline while there is no connection."""
    assert freshness_of(snapshot, status) == word


async def test_freshness_follows_a_live_query(client, server):
    """From the first look to the value, each word once."""
    shown = Recorder()
    with freshness(client, client.live("a:b")).subscribe(shown):
        await until(lambda: shown.values)
    assert shown.values[0] == "pending"


async def test_frames_skip_what_comes_between():
    """The first value passes at once, the newest one at the end of the time, and none between."""
    source, shown = Subject(), Recorder()
    in_frames(source, 0.01).subscribe(shown)
    for number in range(5):
        source.on_next(number)
    await until(lambda: len(shown.values) == 2)
    assert shown.values == [0, 4]


@pytest.mark.parametrize("word", COLOURS)
def test_badge_says_its_word(word):
    """In the text, and for style sheets and tests."""
    assert re.fullmatch(rf'<span class="lunora-badge" data-freshness="{word}".*&#9679; {word}</span>', badge_html(word))


def test_library_that_is_missing_is_named_with_its_extra():
    """Whoever reads the error can copy the command."""
    with pytest.raises(ImportError, match=re.escape("needs no_such_library: pip install 'lunora-rx[bokeh]'")):
        load("no_such_library.io", extra="bokeh")


def test_library_that_misses_something_itself_says_so(tmp_path, monkeypatch):
    """Installing it once more would not help."""
    (tmp_path / "broken_library.py").write_text("import no_such_part", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        load("broken_library", extra="bokeh")
