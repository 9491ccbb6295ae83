"""``pytest tests --faults-table docs/faults.md``: runs the tests of the fault matrix, and writes what they come to.

A page has places for what is generated, between ``<!-- faults -->`` and ``<!-- end -->`` and the like; the rest of it
is left as it is. The run fails where a row has no test that passed, and, with CI in the environment, also where a test
was skipped because of something that can be installed.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.faults.matrix import FAULTS, IN_MEMORY, PROMISES, ROWS, Row

OPTION = "--faults-table"

_MARK = "fault"
_NUMBER = "counted "
_OUTCOMES = ("passed", "failed", "skipped")
_INSTALLABLE = "is not installed"
"""How a reason to skip a test ends where the machine lacks nothing but a package."""


class FaultsTable:
    """Runs marked tests only, and writes a page when they are over.

    Args:
        page: The file to write to.
    """

    def __init__(self, page: Path) -> None:
        self._page = page
        self._tests: dict[int, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._skips: dict[int, set[str]] = defaultdict(set)
        self._gaps: list[str] = []
        self._numbers: Counter[str] = Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what proves no row."""
        rest = [item for item in items if item.get_closest_marker(_MARK) is None]
        config.hook.pytest_deselected(items=rest)
        items[:] = [item for item in items if item.get_closest_marker(_MARK) is not None]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note an outcome: that of the call, or of whatever kept it from being made or spoilt it afterwards."""
        if report.when != "call" and report.outcome == "passed":
            return
        name = report.nodeid.partition("[")[0]
        for kind, value in report.user_properties:
            if kind == _MARK:
                self._tests[int(str(value))][name][report.outcome] += 1
                if isinstance(report.longrepr, tuple):
                    self._skips[int(str(value))].add(report.longrepr[2].removeprefix("Skipped: "))
            elif kind.startswith(_NUMBER) and report.when == "call":
                self._numbers[kind.removeprefix(_NUMBER)] += int(str(value))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the page, but not from a worker, which knows a part only."""
        if hasattr(session.config, "workerinput") or session.config.option.collectonly:
            return
        self._gaps = self.find_gaps() if session.testscollected else []
        if self._gaps and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        text = self._page.read_text(encoding="utf-8")
        for place, rows in (("faults", FAULTS), ("promises", PROMISES)):
            text = filled(text, place, self._render(rows))
        self._page.write_text(filled(text, "numbers", _render_numbers(self._numbers)), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell what was skipped, and which of it lets the run fail."""
        for number, reasons in sorted(self._skips.items()):
            terminalreporter.line(f"row {number}: something was skipped: {'; '.join(sorted(reasons))}")
        for gap in self._gaps:
            terminalreporter.line(f"NOT PROVED: {gap}", red=True)

    def find_gaps(self) -> list[str]:
        """Return what lets the run fail although no test did: rows that nothing proved, and tools that are missing."""
        passed = {number for number, tests in self._tests.items() if sum(tests.values(), Counter())["passed"]}
        gaps = [f"row {number}: no test of it has passed" for number in sorted(ROWS.keys() - passed)]
        reasons = {reason for skips in self._skips.values() for reason in skips if reason.endswith(_INSTALLABLE)}
        return gaps + (sorted(reasons) if os.environ.get("CI") else [])

    def _render(self, rows: Iterable[Row]) -> list[str]:
        return ["| # | Fault | Promise | Tests | Result |", "|---|---|---|---|---|", *map(self._render_row, rows)]

    def _render_row(self, row: Row) -> str:
        tests = self._tests.get(row.number, {})
        names = names_of(tests)
        counts = sum(tests.values(), Counter())
        result = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES if counts[outcome])
        reasons = "; ".join(sorted(self._skips.get(row.number, ())))
        return f"| {row.number} | {row.fault} | {row.promise} | {names} | {result}{reasons and f' ({reasons})'} |"


def add_option(parser: pytest.Parser) -> None:
    """Add the option to the command line."""
    parser.addoption(OPTION, type=Path, metavar="PAGE", help="run the tests of the fault matrix, and fill this page")


def configure(config: pytest.Config) -> None:
    """Let tests say which rows they prove, and write the page if it is asked for."""
    config.addinivalue_line("markers", "fault(*numbers): the rows of tests/faults/matrix.py that a test proves")
    page = config.getoption(OPTION)
    if page is not None:
        config.pluginmanager.register(FaultsTable(page), "faults-table")


def note_rows(item: pytest.Item) -> None:
    """Write the rows that a test proves into its reports, which may come from another process."""
    numbers = {number for mark in item.iter_markers(_MARK) for number in mark.args}
    item.user_properties += [(_MARK, number) for number in sorted(numbers)]


def names_of(tests: Iterable[str]) -> str:
    """Return how the page names the tests of a row."""
    return ", ".join(f"`{test}`{' (in memory)' * test.startswith(IN_MEMORY)}" for test in sorted(tests))


def counted(name: str) -> str:
    """Return the property under which a test tells a number: the page has the sum of all."""
    return f"{_NUMBER}{name}"


def filled(text: str, place: str, lines: Iterable[str]) -> str:
    """Return a page with other lines in a place of it."""
    pattern = re.compile(f"(<!-- {place} -->\n).*?(\n<!-- end -->)", re.DOTALL)
    assert pattern.search(text), f"the page has no place {place!r}"
    body = "\n".join(lines)
    return pattern.sub(lambda found: f"{found[1]}\n{body}\n{found[2]}", text)


def _render_numbers(numbers: Mapping[str, int]) -> list[str]:
    return ["| What | How many |", "|---|---|", *(f"| {name} | {number:,} |" for name, number in numbers.items())]
