"""The examples in the operators' docstrings run, and every operator has one, with a marble diagram."""

from __future__ import annotations

import doctest
import sys

import pytest

from lunora_rx import operators as lops

TESTS = {name: doctest.DocTestFinder().find(getattr(lops, name), name)[0] for name in lops.__all__}


@pytest.mark.parametrize("name", TESTS)
def test_example_of_the_docstring_shows_what_it_says(name):
    """It is run as it stands."""
    pytest.importorskip("pandas", reason="to_frame's example makes a frame of pandas") if name == "to_frame" else None
    test = TESTS[name]
    test.globs = {}
    assert doctest.DocTestRunner(verbose=False).run(test, out=sys.stderr.write).failed == 0
    assert len(test.examples) > 1


@pytest.mark.parametrize("name", TESTS)
def test_docstring_has_a_marble_diagram(name):
    """One line for what comes in, one for what goes out, each a time line with dashes."""
    _, _, rest = (getattr(lops, name).__doc__ or "").partition("::\n\n")
    diagram = rest.partition("\n\n")[0].splitlines()
    assert len(diagram) >= 2
    assert all("--" in line for line in diagram)


def test_operators_do_not_import_the_frame_libraries():
    """Only who makes a frame pays for pandas or polars."""
    import subprocess

    program = "import sys, lunora_rx.operators; sys.exit(any(each in sys.modules for each in ('pandas', 'polars')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
