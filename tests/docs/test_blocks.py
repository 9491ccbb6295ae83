"""Every fenced block of the documentation is run by a test, or checked: one that nobody looks at fails here."""

from __future__ import annotations

import json
import re

import pytest

from tests.docs.blocks import ROOT, Block, blocks_in, blocks_of
from tests.docs.commands import SHELLS, commands_of, wrong_with
from tests.test_docs import names_in

PAGES = sorted(
    str(path.relative_to(ROOT)) for each in ("*.md", "docs/*.md", "docs/reference/*.md") for path in ROOT.glob(each)
)
# What the build of the site reads, with every warning an error.
DIRECTIVES = {"{drawn}", "{eval-rst}", "{include}", "{toctree}"}

# The test that runs all the Python blocks of a page.
RUN = {
    "README.md": "tests/test_readme.py::test_readme_program_runs_as_it_stands",
    "docs/blocking.md": "tests/blocking/test_docs.py::test_page_runs_as_it_stands",
    "docs/cli.md": "tests/cli/test_cli_page.py::test_examples_of_the_page_print_what_it_says",
    "docs/codegen.md": "tests/codegen/test_docs.py::test_program_of_the_page_runs_as_it_stands",
    "docs/composing.md": "tests/test_readme.py::test_composing_program_runs_as_it_stands",
    "docs/dashboards.md": "tests/browser/test_page.py::test_program_of_the_page_shows_that_it_is_live",
    "docs/devserver.md": "tests/devserver/test_running.py::test_program_of_the_page_runs_as_it_stands",
    "docs/guarantees.md": "tests/docs/test_pages.py::test_guarantees_wait_until_a_write_is_safe",
    "docs/guide.md": "tests/test_readme.py::test_guide_program_runs_as_it_stands",
    "docs/index.md": "tests/docs/test_pages.py::test_first_page_runs_as_it_stands",
    "docs/jupyter.md": "tests/adapters/jupyter/test_page.py::test_first_chart_runs_as_it_stands",
    "docs/observability.md": "tests/test_logs.py::test_page_runs_as_it_stands",
    "docs/operators.md": "tests/operators/test_page.py::test_program_of_the_page_runs_as_it_stands",
    "docs/recording.md": "tests/recording/test_recording_docs.py::test_program_of_the_page_runs_as_it_stands",
    "docs/semantics.md": "tests/docs/test_pages.py::test_semantics_calm_keeps_to_the_loop_of_the_client",
    "docs/testing.md": "tests/testing/test_page.py::test_blocks_of_the_page_pass_as_they_stand",
    "docs/tutorial.md": "tests/docs/test_tutorial.py::test_tutorial_shows_what_it_says",
}
# Those of them that run a known number of blocks, and would not notice one more.
COUNTED = {
    "docs/cli.md": 1,
    "docs/dashboards.md": 4,
    "docs/guarantees.md": 1,
    "docs/index.md": 1,
    "docs/semantics.md": 1,
}

_TRANSCRIPT = "tests/test_docs.py::test_frames_of_the_examples_are_frames_of_the_code"
_DRAWN = "tests/docs/test_drawings.py::test_drawing_of_"
# The test that looks at what is neither Python nor a command, by the heading that it stands under.
LOOKED_AT = {
    ("docs/blocking.md", "Streamlit"): "tests/docs/test_pages.py::test_blocking_in_streamlit_shows_the_rows",
    ("docs/cli.md", "lunora-rx import"): RUN["docs/cli.md"],
    ("docs/guarantees.md", "The life of a write"): "tests/test_docs.py::test_phases_of_the_code_stand_in_the_figure",
    ("docs/operators.md", "Errors"): f"{_DRAWN}errors_shows_what_the_operator_tells",
    ("docs/operators.md", "Frames"): f"{_DRAWN}frames_shows_what_the_operator_tells",
    ("docs/operators.md", "Joins"): f"{_DRAWN}a_join_shows_what_the_operator_tells",
    ("docs/operators.md", "Rows that change"): f"{_DRAWN}rows_shows_what_the_operators_tell",
    ("docs/operators.md", "Time"): f"{_DRAWN}time_shows_what_the_operators_tell",
    ("docs/protocol.md", "Batch"): "tests/docs/test_pages.py::test_batch_has_the_members_that_the_protocol_names",
    ("docs/protocol.md", "Connection states"): "tests/docs/test_pages.py::test_states_of_the_protocol_are_the_cores",
    ("docs/protocol.md", "Example of a session"): _TRANSCRIPT,
    ("docs/protocol.md", "Procedure streams"): _TRANSCRIPT,
    ("docs/protocol.md", "Server-sent events"): "tests/docs/test_pages.py::test_events_of_the_protocol_can_be_read",
    ("docs/protocol.md", "Shapes and pokes"): _TRANSCRIPT,
    (
        "docs/testing.md",
        "What is scripted, and what is not",
    ): "tests/docs/test_pages.py::test_message_of_the_test_kit_is_that_of_the_page",
}
# The same for JSON.
READ = {
    ("docs/protocol.md", "Batch"): "tests/test_docs.py::test_batch_example_is_read_as_it_is_told",
    ("docs/protocol.md", "Delta merge"): "tests/test_docs.py::test_delta_example_merges_to_its_result",
    ("docs/protocol.md", "Rules of the kinds"): "tests/test_docs.py::test_codec_example_survives_a_round_trip",
}


def wrong(block: Block) -> str | None:
    """Return why a block is not checked, or what the check says; ``None`` if it is fine."""
    language = block.language.partition(" ")[0]
    if language in DIRECTIVES:
        return None
    if block.language in SHELLS:
        return wrong_command(block)
    if block.language == "json":
        json.loads(block.text)
        return unproved(READ.get((block.page, block.heading)))
    if block.language == "python":
        return unproved(RUN.get(block.page))
    if block.language in ("", "text", "mermaid"):
        return unproved(LOOKED_AT.get((block.page, block.heading)))
    return "nobody knows this language"


def wrong_command(block: Block) -> str | None:
    """Return what is wrong with the commands of a block."""
    try:
        commands = list(commands_of(block))
    except ValueError as error:
        return f"no shell reads it: {error}"
    found = [f"{' '.join(words)}: {said}" for words in commands if (said := wrong_with(words, block.page))]
    return "; ".join(found) or (None if commands else "it holds no command")


def unproved(test: str | None) -> str | None:
    """Return why a test does not stand for a block."""
    if test is None:
        return "no test is named for it"
    path, _, name = test.partition("::")
    return None if name in names_in(path) else f"there is no test {test}"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_checked(page):
    """Whoever adds a block says which test looks at it, in the tables above."""
    found = [f"{block.place}: {said}" for block in blocks_of(page) if (said := wrong(block))]
    assert found == []


@pytest.mark.parametrize("page", RUN)
def test_python_is_written_as_the_tests_look_for_it(page):
    """They take each fence that is exactly this, at the beginning of a line; and those that count, count right."""
    blocks = [each for each in blocks_of(page) if each.language == "python"]
    text = (ROOT / page).read_text(encoding="utf-8")
    assert len(blocks) == len(re.findall(r"^```python\n", text, re.MULTILINE)) > 0
    assert len(blocks) == COUNTED.get(page, len(blocks))


def test_transcripts_hold_nothing_but_frames():
    """The test that reads them passes over what looks otherwise."""
    texts = [
        each.text for each in blocks_of("docs/protocol.md") if LOOKED_AT.get((each.page, each.heading)) == _TRANSCRIPT
    ]
    assert len(texts) == 5
    lines = [line for text in texts for line in text.splitlines()]
    assert [line for line in lines if not re.fullmatch(r"[CS] \{.*\}", line)] == []


@pytest.mark.parametrize("table", [RUN, LOOKED_AT, READ])
def test_tables_name_blocks_that_there_are(table):
    """What is no longer there is no longer told of."""
    there = {each.page for page in PAGES for each in blocks_of(page)}
    there |= {(each.page, each.heading) for page in PAGES for each in blocks_of(page)}
    assert set(table) - there == set()


@pytest.mark.parametrize(
    ("fence", "said"),
    [
        ("python", "no test is named for it"),
        ("", "no test is named for it"),
        ("text", "no test is named for it"),
        ("python title=app.py", "nobody knows this language"),
        ("ruby", "nobody knows this language"),
    ],
)
def test_block_that_nobody_looks_at_is_found(fence, said):
    """Also one that is indented, or fenced otherwise."""
    for text in (f"```{fence}\nx\n```", f"- one\n\n  ```{fence}\n  x\n  ```", f"~~~~{fence}\n```\nx\n```\n~~~~"):
        (block,) = blocks_in(text, "docs/new.md")
        assert said in wrong(block)


def test_fence_that_is_never_closed_is_found():
    """The rest of the page would be in it."""
    with pytest.raises(ValueError, match="the fence is never closed"):
        blocks_in("\n```python\nx\n", "docs/new.md")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("tox run -e nothing", "no environment nothing"),
        ("tox run -e lint,nothing", "no environment nothing"),
        ("tox run -e workerd -- tests/nothing", "there is no tests/nothing"),
        ("python -m tests.nothing", "there is no module tests.nothing"),
        ("python -m nothing", "there is no module nothing"),
        ("python -m tests.fuzz --nothing", "no option --nothing"),
        ("python -m tests.fuzz nothing", "knows no nothing"),
        ("python -m benchmarks P999", "knows no P999"),
        ("python nothing.py", "there is no file nothing.py"),
        ("lunora-rx nothing", "No such command"),
        ("lunora-rx call songs:list --nothing", "No such option"),
        ("lunora-rx queue ./data nothing", "No such command"),
        ("lunora-rx serve", "Missing argument"),
        ("pip install 'lunora-rx[cli,nothing]'", "no extra nothing"),
        ("pip install nothing", "pip install nothing"),
        ("pytest tests/nothing", "there is no tests/nothing"),
        ("npm ci --nothing --prefix tests/workerd", "--nothing"),
        ("npm ci --prefix tests/nothing", "holds no package"),
        ("NOTHING=1 pytest tests/e2e", "NOTHING"),
        ("tests/workerd/node_modules/@cloudflare/workerd-nothing/bin/workerd serve x", "does not fetch"),
        ("make", "nobody checks the program make"),
        ("tox run -e lint && make", "nobody checks the program make"),
        ("tox run -e 'lint", "no shell reads it"),
        ("# nothing", "it holds no command"),
    ],
)
def test_command_that_cannot_be_run_is_found(command, said):
    """Whatever it is that is not there."""
    for text in (command, f"$ {command}\nwhat it prints"):
        (block,) = blocks_in(f"```console\n{text}\n```", "docs/workerd.md")
        assert said in str(wrong(block))
