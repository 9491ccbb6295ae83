"""The fault matrix, the tests that prove it, and the page that tells of both: none has what the others have not."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from tests.faults.matrix import FAULTS, IN_MEMORY, PROMISES, ROWS
from tests.faults.table import FaultsTable, filled, names_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")

_PLAYED = re.compile(r"^from tests\.(core|test_persistence)\b|^async def test_\w+\(server,", re.MULTILINE)
_ROW = re.compile(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)


@cache
def proofs() -> dict[int, set[str]]:
    """Return the tests that each row is proved by, as their markers say; a marker is written out in numbers."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.fault(" in text:
            for name, number in marks_in(ast.parse(text)):
                found[number].add(f"{path.relative_to(ROOT).as_posix()}::{name}")
    return found


def marks_in(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Return each test of a module with each number that it is marked with."""
    everywhere = [each.value for each in module.body if isinstance(each, ast.Assign) and names_marks(each)]
    for test in module.body:
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_"):
            for mark in (*test.decorator_list, *everywhere):
                yield from ((test.name, number) for number in numbers_in(mark))


def names_marks(assignment: ast.Assign) -> bool:
    """Tell whether an assignment marks the whole module."""
    return any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in assignment.targets)


def numbers_in(mark: ast.expr) -> Iterator[int]:
    """Return the numbers of every ``fault(...)`` within a decorator."""
    for node in ast.walk(mark):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fault":
            yield from (ast.literal_eval(argument) for argument in node.args)


def test_rows_are_numbered_one_after_another():
    """Each number is there once, the faults before the promises."""
    assert [row.number for row in (*FAULTS, *PROMISES)] == [*range(1, 61)]
    assert (len(FAULTS), len(PROMISES)) == (42, 18)


def test_every_row_is_proved_and_every_marker_names_a_row():
    """No promise is without a test, and no test proves what was not promised."""
    assert proofs().keys() == ROWS.keys()


def test_every_row_is_proved_over_a_real_socket_or_a_real_disk():
    """What is played in memory shows more of it, and is never all there is."""
    assert [number for number, tests in proofs().items() if all(test.startswith(IN_MEMORY) for test in tests)] == []


def test_proofs_that_are_played_in_memory_are_those_that_the_page_marks():
    """A core alone, and the server of ``tests/support.py`` that the test itself plays, are told from what listens."""
    paths = {test.partition("::")[0] for tests in proofs().values() for test in tests}
    played = {path for path in paths if _PLAYED.search((ROOT / path).read_text(encoding="utf-8"))}
    assert played == {path for path in paths if path.startswith(IN_MEMORY)}


def test_page_names_the_rows_and_the_tests_that_there_are():
    """``tox run -e faults`` writes it anew."""
    told = {int(number): (fault, promise, tests) for number, fault, promise, tests, _ in _ROW.findall(PAGE)}
    shown = {row.number: (row.fault, row.promise, names_of(proofs()[row.number])) for row in ROWS.values()}
    assert told == shown


def test_page_tells_of_no_row_that_failed_or_that_nothing_ran_for():
    """A page with a failure on it is not committed."""
    results = {int(number): result for number, _, _, _, result in _ROW.findall(PAGE)}
    assert results.keys() == ROWS.keys()
    assert {number: result for number, result in results.items() if "passed" not in result or "failed" in result} == {}


def test_marks_are_found_wherever_they_stand():
    """On a function, for some parameters of one, and for a module."""
    module = """
pytestmark = [pytest.mark.fault(1), pytest.mark.slow]

@pytest.mark.fault(2, 3)
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.fault(4)), 2])
async def test_a(): ...

def helper(): ...
"""
    assert sorted(marks_in(ast.parse(module))) == [("test_a", number) for number in (1, 2, 3, 4)]


def reported(number: int, outcome: Literal["passed", "skipped"], reason: str = "") -> pytest.TestReport:
    """Return what pytest tells of a test that proves a row."""
    why = ("test_a.py", 1, f"Skipped: {reason}") if reason else None
    return pytest.TestReport(
        nodeid="test_a.py::test_a",
        location=("test_a.py", 1, "test_a"),
        keywords={},
        outcome=outcome,
        longrepr=why,
        when="call",
        user_properties=[("fault", number)],
    )


@pytest.mark.parametrize(
    ("reason", "is_ci", "gaps"),
    [
        ("this needs root", True, ["row 33: no test of it has passed"]),
        ("a tool is not installed", False, ["row 33: no test of it has passed"]),
        ("a tool is not installed", True, ["row 33: no test of it has passed", "a tool is not installed"]),
    ],
)
def test_row_that_is_only_skipped_is_a_gap_and_in_ci_also_a_tool_that_is_missing(monkeypatch, reason, is_ci, gaps):
    """What is skipped beside a test that passed is told, and may be: but for what CI has to install."""
    monkeypatch.setenv("CI", "true" if is_ci else "")
    table = FaultsTable(Path("page.md"))
    for number in ROWS.keys() - {33}:
        table.pytest_runtest_logreport(reported(number, "passed"))
    table.pytest_runtest_logreport(reported(33, "skipped", reason))
    assert table.find_gaps() == gaps
    table.pytest_runtest_logreport(reported(33, "passed"))
    assert table.find_gaps() == gaps[1:]


def test_page_is_filled_in_its_place_only():
    """What stands around it stays, and a page without the place is refused."""
    page = "before\n<!-- faults -->\nold\n<!-- end -->\nafter\n<!-- numbers -->\n<!-- end -->"
    assert filled(page, "faults", ["new"]) == page.replace("old", "\nnew\n")
    with pytest.raises(AssertionError, match="no place"):
        filled(page, "promises", ["new"])
