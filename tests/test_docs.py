"""docs/protocol.md and docs/guarantees.md: what the code says about them, and what they say about code and tests."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pytest

from lunora_rx import LunoraClient, Phase
from lunora_rx.core import connection, pacing, polling, read_cache, retry, session
from lunora_rx.core.backoff import Backoff
from lunora_rx.core.delta import merge_delta
from lunora_rx.devserver.refusals import status_of
from lunora_rx.devserver.settings import Limits
from lunora_rx.protocol import endpoints, refusal, rpc, stable_wire_key, tags, wire
from lunora_rx.protocol.frames import (
    CLIENT_FRAMES,
    SERVER_FRAMES,
    decode_client_frame,
    decode_server_frame,
    encode_frame,
)
from lunora_rx.protocol.text import loads

ROOT = Path(__file__).parents[1]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
EXERCISES = Path("tests") / "coverage_of_protocol"

_MENTION = re.compile(r"docs/protocol\.md`*,? sections?\b")
_REFERENCE = re.compile(r'docs/protocol\.md`*,? sections? ("[^"]+"(?:(?:,| and|, and) "[^"]+")*)')
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_CODE = re.compile(r"[A-Z]+(?:_[A-Z]+)+")
_CASE = re.compile(r"`(\w+)(\[[^\]]+\])?`")
# Flags of files, names of environment variables, and the one code that no server sends (docs/recording.md).
BESIDE = ("O_", "LUNORA_", "NOT_RECORDED")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def referenced_sections(source: str) -> list[str]:
    """Return the headings that a source text refers to, however its lines are wrapped."""
    flat = re.sub(r"\s*\n\s*(?:#+ *)?", " ", source)
    references = _REFERENCE.findall(flat)
    assert len(references) == len(_MENTION.findall(flat)), "a reference to docs/protocol.md cannot be read"
    return [name for each in references for name in re.findall(r'"([^"]+)"', each)]


def headings(document: str) -> list[str]:
    """Return the headings of a document, those of its examples left out."""
    return re.findall(r"^#+ (.+)$", _FENCE.sub("", document), re.MULTILINE)


def anchors(document: str) -> set[str]:
    """Return what the headings of a document are linked to by."""
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in headings(document)}


def section(name: str, document: str = PROTOCOL) -> str:
    """Return the text under a heading, up to the next one of its level or above."""
    level, start = next(
        (len(each[1]), each.end()) for each in re.finditer(r"^(#+) (.+)$", document, re.MULTILINE) if each[2] == name
    )
    return re.split(rf"^#{{1,{level}}} ", document[start:], maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str) -> list[list[str]]:
    """Return the cells of the first table of a text, its head left out."""
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert lines is not None, "there is no table"
    rows = lines[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def names_in(path: str) -> set[str]:
    """Return the functions of a file of the project; none where there is no such file."""
    source = ROOT / path
    if not source.exists():
        return set()
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    return {each.name for each in nodes if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def rows_of(name: str) -> dict[str, str]:
    """Return the last cells of a table by what stands in the first, which is one name."""
    return {row[0].strip("`"): row[-1] for row in table(section(name))}


def codes_in(name: str) -> set[str]:
    """Return the codes that stand in the first cells of a table."""
    return {code for row in table(section(name)) for code in re.findall(r"`([A-Z_]+)`", row[0])}


def texts_in(node: ast.AST) -> Iterator[str]:
    """Yield the texts of a program that may be codes: a shape of their own, or where a code belongs."""
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
        return
    texts: list[ast.expr] = [node] if isinstance(node, ast.Constant) and _CODE.fullmatch(str(node.value)) else []
    if isinstance(node, ast.keyword) and node.arg == "code":
        texts.append(node.value)
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "AppError":
        texts += node.args[:1]
    yield from (each.value for each in texts if isinstance(each, ast.Constant) and isinstance(each.value, str))
    for child in ast.iter_child_nodes(node):
        yield from texts_in(child)


def exercised_codes() -> set[str]:
    """Return the codes that have a row."""
    return {*rows_of("Codes of the client, exercised"), *rows_of("Codes of the server, exercised")}


def fixed_numbers() -> dict[str, float]:
    """Return the first number of each row of the table "Fixed numbers"."""
    numbers = {}
    for name, value, _ in table(section("Fixed numbers")):
        numbers[name.removesuffix(" †")] = float(value.split()[0].replace(",", ""))
    return numbers


def example(name: str) -> dict:
    """Return the JSON example of a section."""
    return json.loads(next(text for language, text in _FENCE.findall(section(name)) if language == "json"))


def client_default(parameter: str) -> float:
    """Return the default of an argument of the client."""
    return inspect.signature(LunoraClient).parameters[parameter].default


CONSTANTS = {
    "request timeout": client_default("request_timeout"),
    "backoff initial": Backoff().initial,
    "backoff maximum": Backoff().maximum,
    "handshake timeout": connection.Timing().connect_timeout,
    "heartbeat interval": connection.Timing().heartbeat_interval,
    "liveness limit": connection.LIVENESS_INTERVALS,
    "stable window": connection.STABLE_AFTER,
    "idle close": session.IDLE_CLOSE_AFTER,
    "pacing concurrency": pacing.CONCURRENCY,
    "pacing slot timeout": pacing.SLOT_TIMEOUT,
    "frame limit": client_default("max_frame_size"),
    "reply body limit": client_default("max_body_size"),
    "codec depth": refusal.MAX_DEPTH,
    "bigint length": tags.BIGINT_CHARACTERS,
    "batch entries": rpc.MAX_BATCH_ENTRIES,
    "batch body budget": rpc.MAX_BATCH_BYTES,
    "polling interval": polling.Polling().interval,
    "polling failures before start": polling.Polling().after_failures,
    "polling request timeout": polling.PASS_TIMEOUT,
    "replay wait base": retry.RETRY_BASE,
    "replay wait cap": retry.RETRY_CAP,
    "offline queue bound": client_default("queue_limit"),
    "read cache rows": read_cache.ENTRY_LIMIT,
    "read cache debounce": read_cache.WRITE_DELAY,
}


@pytest.mark.parametrize(
    "source",
    [
        'Source: ``docs/protocol.md``, section "A b".',
        'Source: ``docs/protocol.md``,\n    section "A b".',
        'Source: ``docs/protocol.md``, sections\n"A\n    b".',
        '# See docs/protocol.md, section "A\n# b".',
    ],
)
def test_reference_however_wrapped_is_found(source):
    """A reference counts wherever its line breaks."""
    assert referenced_sections(source) == ["A b"]


def test_reference_to_several_sections_names_each():
    """Commas and "and" join the names of a plural reference."""
    assert referenced_sections('``docs/protocol.md``, sections "A",\n"B" and "C".') == ["A", "B", "C"]


def test_reference_without_a_quoted_name_is_refused():
    """A reference that cannot be read is no reference that is fine."""
    with pytest.raises(AssertionError, match="cannot be read"):
        referenced_sections("``docs/protocol.md``, section RPC.")


def test_references_of_the_code_name_existing_headings():
    """Whoever follows a docstring to the protocol arrives."""
    known = set(headings(PROTOCOL))
    found = [
        (str(path.relative_to(ROOT)), name)
        for path in sorted((ROOT / "lunora_rx").rglob("*.py"))
        for name in referenced_sections(path.read_text(encoding="utf-8"))
    ]
    assert found, "no reference was found"
    assert [each for each in found if each[1] not in known] == []


def test_headings_of_the_document_are_unique():
    """A section is referred to by its name alone."""
    names = headings(PROTOCOL)
    assert sorted(names) == sorted(set(names))


def test_links_within_the_document_lead_to_headings():
    """Every anchor that the text links to is made by a heading."""
    links = set(re.findall(r"\]\(#([^)]+)\)", PROTOCOL))
    assert links
    assert links - anchors(PROTOCOL) == set()


@pytest.mark.parametrize("name", CONSTANTS)
def test_fixed_number_of_the_document_is_that_of_the_code(name):
    """The document and the constant say one number."""
    assert fixed_numbers()[name] == CONSTANTS[name]


@pytest.mark.parametrize("parameter", ["connect_timeout", "heartbeat_interval"])
def test_client_default_is_that_of_the_core(parameter):
    """A number that stands in the client's signature and in the core is one number."""
    assert client_default(parameter) == getattr(connection.Timing(), parameter)


def test_endpoints_of_the_code_stand_in_the_document():
    """Each path, header and keepalive text of the code is described."""
    texts = [value for name, value in vars(endpoints).items() if name.isupper() and isinstance(value, str)]
    assert texts
    assert [each for each in texts if each not in PROTOCOL] == []


def test_element_sizes_of_the_code_stand_in_the_document():
    """Each constructor of a typed array is named."""
    assert [name for name in tags.ELEMENT_SIZES if f"`{name}`" not in section("Value codec")] == []


def test_statuses_of_the_error_codes_are_those_of_the_embedded_server():
    """The table of server codes gives the status that the embedded server answers with."""
    wrong = []
    for codes, status, *_ in table(section("Codes made by the server")):
        if status.isdigit() and status != "421":  # 421 belongs to replicas, which the embedded server has not
            wrong += [code for code in re.findall(r"`(\w+)`", codes) if status_of(code) != int(status)]
    assert wrong == []


def test_failure_classes_of_the_document_are_those_of_the_code():
    """A code stands in the row of its class, and in no other."""
    documented = {row[0]: set(re.findall(r"`([A-Z_]+)`", row[1])) for row in table(section("Failure classes"))}
    for name in ("transient", "credential", "identity"):
        assert documented[name] == {code for code, verdict in rpc._VERDICTS.items() if verdict.value == name}


def test_token_lifetime_of_the_document_is_that_of_the_embedded_server():
    """The default life of a short-lived token is one number."""
    assert f"lives for {Limits().ws_token_lifetime:g} s" in section("Credentials")


def test_frames_of_the_examples_are_frames_of_the_code():
    """Each line of a transcript decodes, and is what the code would write."""
    lines = re.findall(r"^([CS]) (\{.*\})$", PROTOCOL, re.MULTILINE)
    assert len(lines) > 20
    for side, text in lines:
        tree = json.loads(text)
        frame = (decode_client_frame if side == "C" else decode_server_frame)(tree)
        assert frame is not None, text
        assert json.loads(encode_frame(frame)) == tree


EXERCISED = {
    "Frames of the client, exercised": {*CLIENT_FRAMES, endpoints.PING},
    "Frames of the server, exercised": {*SERVER_FRAMES, endpoints.PONG},
    "Codes of the client, exercised": {*codes_in("Codes made by the client"), "no code"},
    "Codes of the server, exercised": {*codes_in("Codes made by the server"), "ROOM_FULL"},
}


METHODS = {
    "Connection context in `connect`": "presence",
    "Shapes and pokes": "shape",
    "Procedure streams": "stream",
    "Whispers": "whisper",
    "Streaming HTTP routes": "http_stream",
    "Pagination": "paginate",
    "Preload": "preload",
    "Import": "import_rows",
}


@pytest.fixture(scope="module")
def collected():
    """The ids of the tests that exercise the protocol, as pytest collects them."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", str(EXERCISES)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100).stdout
    return {line.rpartition("/")[2] for line in output.splitlines() if "::" in line}


def test_parts_that_the_client_has_a_method_for_are_there_today():
    """The table of what is carried out does not stay behind the code, nor run ahead of it."""
    parts = {part: client for part, _, client, _ in table(section("Status in lunora_rx"))}
    told = {part: parts[part].startswith("today") for part in METHODS}
    assert told == {part: hasattr(LunoraClient, method) for part, method in METHODS.items()}


@pytest.mark.parametrize("name", EXERCISED)
def test_exercised_names_are_those_of_the_protocol(name):
    """A new frame or code needs a row, and a row is about something that there is."""
    assert set(rows_of(name)) == EXERCISED[name]


def test_codes_of_the_program_are_exercised():
    """A code that the program makes and nobody wrote down is found as well."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "lunora_rx").rglob("*.py")]
    made = {text for source in sources for text in texts_in(ast.parse(source)) if not text.startswith(BESIDE)}
    assert len(made) > 40
    assert made - exercised_codes() == set()


@pytest.mark.parametrize("name", EXERCISED)
def test_rows_name_tests_of_theirs_or_say_why_not(name, collected):
    """Each test exists, and a case of it is about the row that it stands in."""
    tests = {row[0].strip("`"): row[1].strip("`") for row in table(section("Names of the tests"))}
    for row, cell in rows_of(name).items():
        named = _CASE.findall(cell)
        assert named or cell.startswith("not made: "), row
        assert [test for test, case in named if tests[test] + case not in collected] == []
        assert [case for _, case in named if case and not f"{case[1:-1]}-".startswith(f"{row}-")] == []


def test_cases_of_the_tests_stand_in_the_tables(collected):
    """A case that is added is told where the others are."""
    tests = {row[1].strip("`"): row[0].strip("`") for row in table(section("Names of the tests"))}
    cells = [cell for name in EXERCISED for cell in rows_of(name).values()]
    told = {test + case for cell in cells for test, case in _CASE.findall(cell)}
    known = [(each, each.partition("[")[0]) for each in collected]
    cases = {tests[test] + each.removeprefix(test) for each, test in known if test in tests}
    assert cases == told


def test_delta_example_merges_to_its_result():
    """The run of deltas in the document leads to the value in the document."""
    run = example("Delta merge")
    assert reduce(merge_delta, run["deltas"], run["base"]) == run["result"]


def test_stable_key_examples_are_what_the_code_makes():
    """Each value of the table has the key beside it."""
    rows = [row for row in table(section("Stable key")) if row[1].startswith("`")]
    assert len(rows) > 5
    for value, key in rows:
        assert stable_wire_key(loads(value.strip("`"))) == key.strip("`")


def test_codec_example_survives_a_round_trip():
    """The wire values of the example are spelled as the code spells them."""
    tree = example("Value codec")
    assert wire.encode_wire(wire.decode_wire(tree)) == tree


def test_batch_example_is_read_as_it_is_told():
    """The request has three calls; the reply gives a value, a refusal and a null, in the order of the calls."""
    batch = example("Batch")
    calls = rpc.decode_batch(json.dumps(batch["request"]).encode())
    assert [(slot, call.mutation_id) for slot, call in calls] == [(0, "3f0c"), (1, "77b1"), (2, None)]
    sent, refused, last = rpc.decode_batch_reply(rpc.HttpReply(200, {}, json.dumps(batch["reply"]).encode()), 3)
    assert (sent.value, sent.commit_cursor, refused.error.code, last.value) == ("m9", 118, "VALIDATION_ERROR", None)


def test_tests_that_the_guarantees_name_exist():
    """Whoever looks for the proof of a promise finds it."""
    named = _TEST.findall(GUARANTEES)
    assert len(named) > 40
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_every_fault_of_the_guarantees_names_a_test():
    """A promise that nothing checks is not made."""
    faults = table(section("Faults", GUARANTEES))
    assert len(faults) > 20
    assert [fault for fault, _, _, tests in faults if not _TEST.fullmatch(tests.split(", ")[0])] == []


def test_phases_of_the_code_stand_in_the_figure():
    """The life of a write is told in the words that a mutation tells it in."""
    figure = next(text for _, text in _FENCE.findall(section("The life of a write", GUARANTEES)))
    assert [phase for phase in Phase if not re.search(rf"\b{phase}\b", figure)] == []


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_links_of_the_pages_lead_to_headings(name):
    """A link arrives where it says, on another page too."""
    links = re.findall(r"\]\((\w+\.md)?(?:#([^)]+))?\)", (ROOT / "docs" / name).read_text(encoding="utf-8"))
    for page, anchor in links:
        document = (ROOT / "docs" / (page or name)).read_text(encoding="utf-8")
        assert not anchor or anchor in anchors(document), f"{page}#{anchor}"


@pytest.mark.parametrize("name", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_pictures_of_the_pages_are_there(name):
    """Each is a file of this repository, and a drawn one loads nothing from elsewhere."""
    for picture in re.findall(r"!\[[^\]]*\]\(([^):]+)\)", (ROOT / name).read_text(encoding="utf-8")):
        path = (ROOT / name).parent / picture
        assert path.is_file(), picture
        assert path.suffix != ".svg" or "url(" not in re.sub(r"url\(#", "", path.read_text(encoding="utf-8")), picture
