"""What is fuzzed at length by ``python -m tests.fuzz``, in small: each run of the tests takes other inputs.

``FUZZ_SEED`` repeats a run, ``FUZZ_INPUTS`` says how many inputs each target gets.
"""

from __future__ import annotations

import ast
import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunora_rx.protocol.text import parse, spell
from tests.fuzz import targets
from tests.fuzz.engine import fuzz, inputs
from tests.fuzz.targets import TARGETS

SEED = os.environ.get("FUZZ_SEED") or str(random.randrange(2**32))
INPUTS = int(os.environ.get("FUZZ_INPUTS", "300"))

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("target", TARGETS.values(), ids=[*TARGETS])
def test_target_takes_each_of_its_seeds(target):
    """What fuzzing starts from is valid, and so are the targets themselves."""
    for text in target.seeds:
        target.run(text)


@pytest.mark.parametrize("name", TARGETS)
def test_target_survives_spoilt_inputs(name):
    """Nothing but the errors that are documented is raised, whatever is read."""
    outcome = fuzz(TARGETS[name], seed=SEED, count=INPUTS)
    assert not outcome.findings, f"repeat it with FUZZ_SEED={SEED} FUZZ_INPUTS={INPUTS}\n{outcome.render()}"


@pytest.mark.parametrize("name", TARGETS)
@given(text=st.binary(max_size=200))
@settings(max_examples=30)
def test_target_survives_any_bytes(name, text):
    """Bytes that never were of the protocol are refused as what is nearly of it."""
    TARGETS[name].run(text)


@given(tree=JSON)
def test_spelt_tree_reads_as_itself(tree):
    """What was read can be said again, lone surrogates and all."""
    text = spell(tree)
    text.encode()
    assert parse(text) == tree
    assert spell(parse(text)) == text


@given(tree=JSON)
@settings(max_examples=50)
def test_any_tree_in_the_place_of_a_member_harms_nothing(tree):
    """What a frame holds may be anything that JSON can hold."""
    told = [{"type": "data", "id": "sub_1", "data": tree}, {"type": "data", "id": "sub_1", "data": 1, "epoch": tree}]
    told += [{"type": "chunk", "id": "stream_1", "data": tree, "seq": 1, "generation": tree}]
    targets.frames("\n".join(map(spell, told)).encode())


def test_inputs_follow_from_the_seed():
    """What broke once can be broken again."""
    stream, again, other = (inputs(TARGETS["frames"], seed) for seed in ("1", "1", "2"))
    taken = [next(stream) for _ in range(50)]
    assert taken == [next(again) for _ in range(50)]
    assert taken != [next(other) for _ in range(50)]


def test_broken_target_is_found():
    """A defect that the mutator can reach is told with the input that shows it."""

    def broken(text: bytes) -> None:
        if b"\\ud800" in text:
            raise ValueError("a lone surrogate")

    outcome = fuzz(targets.Target("broken", broken, TARGETS["codec"].seeds), seed="1", count=2_000)
    [finding] = outcome.findings.values()
    assert b"\\ud800" in finding.text
    assert "a lone surrogate" in outcome.render()


def test_guided_engine_imports_nothing_before_it_counts():
    """What is imported before atheris instruments it runs uncounted, and guides nobody."""
    source = (Path(__file__).parent / "guided.py").read_text(encoding="utf-8")
    imports = [each for each in ast.parse(source).body if isinstance(each, ast.Import | ast.ImportFrom)]
    names = {each.module if isinstance(each, ast.ImportFrom) else each.names[0].name for each in imports}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names
