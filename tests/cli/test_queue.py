"""``lunora-rx queue`` as its user runs it, on lanes made by the real store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lunora_rx.cli import queue as command
from lunora_rx.cli.commands import app
from lunora_rx.core.records import QueuedMutation, encode_queued
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.storage.browse import browse
from lunora_rx.storage.rows import seal
from tests.storage.disk import execute, ids, opened, record

COMMAND = [sys.executable, "-m", "lunora_rx.cli"]
_CLIENT = """
import sys
from pathlib import Path
from lunora_rx.storage.disk_store import DiskQueue
from lunora_rx.testing import a_queued_mutation
queue = DiskQueue(Path(sys.argv[1]), report=print)
for name in sys.argv[2:]:
    queue.append(a_queued_mutation(name))
print("ready", flush=True)
sys.stdin.read()
"""


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["queue", *map(str, arguments)], input=stdin)


def words(text: str) -> str:
    """A text without the frames and the line breaks of a usage error."""
    return " ".join(re.sub("[│╭╮╰╯─]", " ", text).split())


def stored(directory: Path) -> list[str]:
    with opened(directory) as queue:
        return ids(queue)


def start(directory: Path, *names: str) -> subprocess.Popen[str]:
    """Start a client that stores records and stays."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, str(directory), *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A storage directory with three writes in a free lane."""
    directory = tmp_path / "data"
    with opened(directory) as queue:
        for each in (
            record("m1"),
            record("m2", identity=None, shard="", version=None),
            record("m3", identity=UNDEFINED, args={"text": "x" * 500}),
        ):
            queue.append(each)
    return directory


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A directory with a lane of a killed client and one of a living client, whose process id is given too."""
    directory = tmp_path / "data"
    killed, living = start(directory, "k1", "k2"), start(directory, "h1")
    kill(killed)
    yield directory, living.pid
    kill(living)


def damage(directory: Path, name: str) -> None:
    """Flip a byte in the record of that id."""
    (path,) = directory.glob("lanes/*/queue/*/cache.db")
    path.write_bytes(path.read_bytes().replace(f'"id":"{name}"'.encode(), b'"id":"!!"'))


def test_list_in_a_pipe_shows_every_field_in_plain_text(data):
    """One line a write, in order; absent fields are left out, long args are cut."""
    done = run(data, "list")
    heading, first, second, third, summary = done.stdout.splitlines()
    assert done.exit_code == 0
    assert heading == "lane 00000001: free, 3 writes"
    assert first.startswith("  1  m1  messages:send  shard room  subj:ada  version v1  100 bytes  {")
    assert second.startswith("  2  m2  messages:send  signed out  100 bytes  {")
    assert third.startswith("  3  m3  messages:send  shard room  no stamp  version v1  511 bytes  {")
    assert third.endswith("xxx...")
    assert summary == f"3 writes waiting in {data}"


def test_list_as_json_prints_each_record_as_it_is_stored(data):
    """One object a line: the lane, who has it, the place and the record in wire form."""
    done = run(data, "list", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0] == {
        "lane": "00000001",
        "held": False,
        "pid": None,
        "place": 1,
        "record": encode_queued(record("m1")),
        "damage": None,
    }
    assert [line["record"]["id"] for line in lines] == ["m1", "m2", "m3"]
    assert lines[1]["record"]["identity"] is None
    assert "identity" not in lines[2]["record"]


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not tell who holds a lock")
def test_list_beside_a_living_client_names_its_process_and_leaves_it_alone(shared):
    """Run as a process of its own, between a client that lives and what a killed one left."""
    directory, pid = shared
    done = subprocess.run([*COMMAND, "queue", directory, "list"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "lane 00000001: free, 2 writes\n  1  k1 " in done.stdout
    assert f"lane 00000002: held by process {pid}, 1 write\n  1  h1 " in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals here")
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_list_in_a_terminal_draws_a_table_that_fits(data, columns):
    """Ids are whole at any width, args end where the column ends, and nothing steers the terminal."""
    with opened(data) as queue:
        queue.append(
            record("5e0c7d3a-90f2-4a6f-8a55-0a4c3f1b7e21", function_path="a\x1b[2J:b", args={"t": "[red]" * 99})
        )
    text = in_terminal([*COMMAND, "queue", str(data), "list"], columns)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\r\n")
    assert "\x1b" not in "".join(lines)
    assert max(map(len, lines)) <= columns
    assert any("5e0c7d3a-90f2-4a6f-8a55-0a4c3f1b7e21" in line for line in lines)
    assert any("a\\x1b[2J:b" in line for line in lines)
    assert any("[red]" in line and "…" in line for line in lines)


def in_terminal(arguments: list[str], columns: int) -> str:
    """Return what a command prints in a terminal of that width."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    with subprocess.Popen(arguments, stdin=theirs, stdout=theirs, env=environment) as process:
        os.close(theirs)
        printed = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    assert process.returncode == 0
    return printed.decode()


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65536)
    except OSError:  # how Linux says that the other end was closed
        return b""


def test_damaged_write_is_listed_in_its_place(data):
    """It is not left out, and what is left of its bytes is in the JSON."""
    damage(data, "m2")
    plain = run(data, "list")
    assert plain.stdout.splitlines()[0] == "lane 00000001: free, 3 writes, 1 damaged"
    assert plain.stdout.splitlines()[2].startswith("  2  damaged: does not match its checksum")
    line = json.loads(run(data, "list", "--json").stdout.splitlines()[1])
    assert (line["place"], line["record"], line["damage"]) == (2, None, "does not match its checksum")
    assert line["stored_base64"]


def test_lone_surrogate_of_another_writer_is_shown_escaped(data):
    """It has no UTF-8, so it leaves as it came: escaped."""
    payload = b'{"id":"m9","functionPath":"a:b","args":{"t":"\\ud800"},"clientId":"c"}'
    (path,) = data.glob("lanes/*/queue/*/cache.db")
    execute(path, "INSERT INTO Cache(key, raw, mode, value) VALUES (?, 1, 1, ?)", 2**40, seal(2**40, payload))
    assert '{"t":"\\ud800"}' in run(data, "list").stdout.splitlines()[4]
    line = json.loads(run(data, "list", "--json").stdout.splitlines()[3])
    assert line["record"] == json.loads(payload)


def test_lane_that_cannot_be_read_ends_with_exit_code_1(data):
    """A script that exports before it drops must notice that something may be missing."""
    (path,) = data.glob("lanes/*/queue/*/cache.db")
    path.write_bytes(b"not a database" * 1000)
    for arguments in (["list"], ["list", "--json"], ["export", "-"]):
        done = run(data, *arguments)
        assert done.exit_code == 1
        assert "file is not a database" in done.output


@pytest.mark.parametrize("arguments", [["list"], ["export", "-"], ["drop", "--all", "--yes"]])
def test_directory_that_is_missing_is_an_error_and_is_not_made(tmp_path, arguments):
    """The error says that there is none."""
    done = run(tmp_path / "none", *arguments)
    assert done.exit_code == 1
    assert f"there is no directory {tmp_path / 'none'}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_writes_what_list_as_json_prints(data, tmp_path):
    """To a file that only its owner can read, or to the standard output."""
    file = tmp_path / "unsent.jsonl"
    listed = run(data, "list", "--json").stdout
    assert run(data, "export", file).stdout == f"exported 3 writes to {file}\n"
    assert file.read_text(encoding="utf-8") == listed == run(data, "export", "-").stdout
    assert os.name == "nt" or file.stat().st_mode & 0o777 == 0o600
    assert stored(data) == ["m1", "m2", "m3"]


def test_export_replaces_a_file_only_when_forced(data, tmp_path):
    """The earlier file stays, or is replaced whole."""
    file = tmp_path / "unsent.jsonl"
    file.write_text("precious", encoding="utf-8")
    done = run(data, "export", file)
    assert (done.exit_code, file.read_text(encoding="utf-8")) == (1, "precious")
    assert "--force replaces it" in done.stderr
    assert run(data, "export", file, "--force").exit_code == 0
    assert len(file.read_text(encoding="utf-8").splitlines()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "unsent.jsonl"]


@pytest.mark.parametrize("target", ["missing/unsent.jsonl", "data"])
def test_export_to_where_no_file_can_be_says_so(data, tmp_path, target):
    """A directory that is missing, and a name that is a directory's."""
    done = run(data, "export", tmp_path / target, "--force")
    assert done.exit_code == 1
    assert "cannot export to" in done.stderr


def test_exported_records_can_be_read_back_as_queued_mutations(data):
    """Nothing of a record is lost on the way."""
    from lunora_rx.core.records import decode_queued

    lines = [json.loads(line) for line in run(data, "export", "-").stdout.splitlines()]
    restored: list[QueuedMutation] = [decode_queued(line["record"]) for line in lines]
    with opened(data) as queue:
        assert restored == queue.load()


def test_drop_by_id_drops_those_and_says_so(data):
    """Each one is named; the others keep their order."""
    done = run(data, "drop", "--id", "m1", "--id", "m3", "--yes")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "dropped from lane 00000001: m1  messages:send",
        "dropped from lane 00000001: m3  messages:send",
        "dropped 2 writes",
    ]
    assert stored(data) == ["m2"]


def test_drop_of_all_leaves_an_empty_storage(data):
    """A list afterwards is empty, and no error."""
    assert run(data, "drop", "--all", "--yes").exit_code == 0
    listed = run(data, "list")
    assert (listed.exit_code, listed.stdout) == (0, f"no writes waiting in {data}\n")
    assert run(data, "drop", "--all", "--yes").exit_code == 1


def test_drop_of_a_lane_leaves_the_others(shared):
    """The killed client's lane can go while the other client lives; its number may be written short."""
    directory, _ = shared
    assert run(directory, "drop", "--lane", "1", "--yes").exit_code == 0
    (left,) = browse(directory)
    assert (left.name, left.is_held, len(left.writes)) == ("00000002", True, 1)


@pytest.mark.parametrize("choice", [["--all"], ["--lane", "00000002"], ["--id", "h1"], ["--id", "k1", "--id", "h1"]])
def test_drop_that_meets_a_held_lane_drops_nothing(shared, choice):
    """The error names the lane and what to do."""
    directory, pid = shared
    done = run(directory, "drop", "--yes", *choice)
    holder = f"process {pid}" if Path("/proc/locks").exists() else "a running process"
    assert done.exit_code == 1
    assert f"nothing was dropped: lane 00000002 is held by {holder}: end that process first" in done.stderr
    assert [len(lane.writes) for lane in browse(directory)] == [2, 1]


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (["--id", "m1", "--id", "m9"], "no write has the id m9"),
        (["--id", "m1", "--lane", "7"], "there is no lane 7"),
    ],
)
def test_drop_of_what_is_not_there_drops_nothing(data, choice, reason):
    """One that is missing saves them all."""
    done = run(data, "drop", "--yes", *choice)
    assert done.exit_code == 1
    assert reason in done.stderr
    assert stored(data) == ["m1", "m2", "m3"]


@pytest.mark.parametrize("choice", [[], ["--all", "--id", "m1"], ["--all", "--lane", "1"]])
def test_drop_without_one_clear_choice_is_a_usage_error(data, choice):
    """Nothing is guessed."""
    done = run(data, "drop", "--yes", *choice)
    assert done.exit_code == 2
    assert "say what to drop" in words(done.stderr)
    assert stored(data) == ["m1", "m2", "m3"]


def test_drop_without_a_terminal_wants_yes(data):
    """A pipe cannot be asked, whatever it says."""
    done = run(data, "drop", "--all", stdin="y\n")
    assert done.exit_code == 2
    assert "--yes drops without asking" in words(done.stderr)
    assert stored(data) == ["m1", "m2", "m3"]


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, ["m1"]), ("n\n", 1, ["m1", "m2", "m3"])])
def test_drop_in_a_terminal_asks_and_offers_the_export(data, monkeypatch, answer, code, left):
    """It shows what would go first, and drops on yes only."""
    monkeypatch.setattr(command, "_can_ask", lambda: True)
    done = run(data, "drop", "--id", "m2", "--id", "m3", stdin=answer)
    assert done.exit_code == code
    assert "lane 00000001: m2  messages:send\nlane 00000001: m3  messages:send\n" in done.stdout
    assert f"lunora-rx queue {data} export FILE" in done.stdout
    assert "drop 2 writes, never to be sent?" in done.stdout
    assert stored(data) == left


def test_drop_of_many_asks_about_the_first_and_the_number(data, monkeypatch):
    """A thousand lines would push the question's subject off the screen."""
    monkeypatch.setattr(command, "_can_ask", lambda: True)
    with opened(data) as queue, queue.group():
        for number in range(30):
            queue.append(record(f"n{number}"))
    done = run(data, "drop", "--all", stdin="n\n")
    assert done.stdout.count("lane 00000001: ") == 20
    assert "and 13 more" in done.stdout


def test_drop_of_what_a_client_took_while_asking_says_so(data, monkeypatch):
    """What is dropped is what was asked about, and never more."""

    def take_and_agree(question: str) -> bool:
        with opened(data) as queue:
            queue.clear()
            queue.append(record("new"))
        return True

    monkeypatch.setattr(command, "_can_ask", lambda: True)
    monkeypatch.setattr(command.typer, "confirm", take_and_agree)
    done = run(data, "drop", "--all")
    assert done.exit_code == 1
    assert "a client took the writes meanwhile" in done.stderr
    assert stored(data) == ["new"]


def test_drop_of_a_damaged_lane_says_where_the_damage_went(data):
    """What cannot be read is set aside, and an export points there from then on."""
    damage(data, "m2")
    done = run(data, "drop", "--all", "--yes")
    assert done.exit_code == 0
    assert "found damage in" in done.stderr
    assert "dropped 2 writes" in done.stdout
    aside = data / "damaged" / "queue-1-1"
    assert aside.exists()
    assert f"set aside as damaged: {aside}" in run(data, "export", "-").stderr
    assert "1 damaged database set aside" in run(data, "list").stdout


def test_command_before_the_directory_is_explained(data):
    """It is the order that most would try first."""
    done = run("list", data)
    assert done.exit_code == 2
    assert "the directory comes first" in words(done.stderr)


@pytest.mark.parametrize("name", ["list", "export", "drop"])
def test_help_of_each_command_has_an_example(name):
    """With or without the directory."""
    for arguments in ([name, "--help"], ["data", name, "--help"]):
        done = run(*arguments)
        assert done.exit_code == 0
        assert f"lunora-rx queue ./data {name}" in words(done.stdout)
