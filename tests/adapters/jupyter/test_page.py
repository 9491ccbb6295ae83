"""docs/jupyter.md: its program runs as a cell does, in ten lines, and its links arrive."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from lunora_rx.adapters.jupyter import show
from tests.support import until

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "jupyter.md").read_text(encoding="utf-8")


async def test_first_chart_runs_as_it_stands():
    """The lines show what they promise, and end as the text says."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len([line for line in program.splitlines() if line]) == 10
    *_, shown = program.splitlines()
    names: dict = {}
    exec(program.replace(shown, f"shown = {shown}"), names)
    waves = names["client"].live("waves:list")
    with waves.subscribe():
        await until(lambda: waves.snapshot.has_value and len(waves.value) > 2)
    assert "text/html" in names["shown"]._repr_mimebundle_()[0]
    names["making"].dispose()
    await names["client"].aclose()
    names["server"].close()


def test_options_of_the_page_are_those_of_show():
    """The signature in the text is the one of the code."""
    (written,) = re.findall(r"`show\((observable, \*, .*)\)`", PAGE)
    told = re.findall(r"(\w+)=(\w+)", written)
    parameters = inspect.signature(show).parameters
    assert {name: str(parameters[name].default).removesuffix(".0") for name, _ in told} == dict(told)
    assert {name for name, _ in told} == parameters.keys() - {"observable", "perspective"}
