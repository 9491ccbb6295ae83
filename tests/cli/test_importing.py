"""``lunora-rx import``: files of rows, read, checked and written."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from lunora_rx.cli.rowfile import open_rows


@pytest.fixture
def write(tmp_path):
    """Write a file."""

    def write(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def told(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_import_of_json_lines_writes_each_row_once_and_tells_how_far_it_is(served, write):
    """One line a step, the last one says that it is done."""
    file = write("rows.jsonl", "".join(f'{{"n": {n}}}\n\n' for n in range(25)))
    done = served.run("import", "notes:add", file, "--chunk-size", 10)
    assert done.exit_code == 0, done.stderr
    lines = told(done)
    assert [row["n"] for row in served.rows] == list(range(25))
    assert [line["is_done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert [line["imported"] for line in lines][-1] == lines[-1]["total"] == 25
    assert len({json.dumps(line) for line in lines}) == len(lines)


def test_import_of_csv_reads_numbers_truth_and_nothing(served, write):
    """What JSON would not take as a number stays text; a byte order mark and line breaks in cells are no trouble."""
    file = write("rows.csv", '\ufeffa,b,c,d,e\r\n1,-2.5,true,,007\r\n2026-11-29,"x\ny",tall,1e3,false\r\n')
    assert served.run("import", "notes:add", file).exit_code == 0
    first, second = [{name: row[name] for name in "abcde"} for row in served.rows]
    assert first == {"a": 1, "b": -2.5, "c": True, "d": None, "e": "007"}
    assert second == {"a": "2026-11-29", "b": "x\ny", "c": "tall", "d": 1000.0, "e": False}


def test_import_of_csv_as_text_changes_no_cell(served, write):
    """Numbers that are names stay as they are written."""
    file = write("rows.csv", "a,b\n1,\n")
    assert served.run("import", "notes:add", file, "--text").exit_code == 0
    assert [(row["a"], row["b"]) for row in served.rows] == [("1", "")]


def test_import_from_the_standard_input_needs_a_format(served):
    """There is no name that would say it."""
    assert served.run("import", "notes:add", "-", stdin='{"n": 1}\n').exit_code == 2
    done = served.run("import", "notes:add", "-", "--format", "jsonl", stdin='{"n": 1}\n')
    assert (done.exit_code, [row["n"] for row in served.rows]) == (0, [1])


def test_import_gives_other_arguments_and_another_name_to_the_rows(served, write):
    """The mutation says what it is called."""
    file = write("rows.jsonl", '{"n": 1}\n')
    assert served.run("import", "notes:add", file, "--args", '{"book": "red"}').exit_code == 0
    assert served.rows[0]["book"] == "red"
    done = served.run("import", "notes:add", file, "--rows-as", "items")
    assert done.exit_code == 1
    assert "VALIDATION_ERROR" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.jsonl", '{"n": 1}\n{"n": \n', "a.jsonl, line 2: not valid JSON"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", "a.csv, line 3: the row has not the 2 cells"),
        ("a.csv", "a,b\n1\n", "a.csv, line 2: the row has not the 2 cells"),
        ("a.csv", "a,a\n1,2\n", "a.csv, line 1: the first line names the columns, each once"),
        ("a.csv", 'a\n"x', "a.csv, line 1: unexpected end of data"),
        ("a.jsonl", b"\xff\n", "is not UTF-8"),
        ("a.txt", "x", "--format jsonl or csv says what it holds"),
    ],
)
def test_file_with_a_wrong_line_is_refused_as_a_whole(served, write, name, text, reason):
    """The line is named, and no row is sent."""
    done = served.run("import", "notes:add", write(name, text))
    assert done.exit_code == 2
    assert reason in done.stderr
    assert served.rows == []


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_rows_of_a_file_are_never_all_in_memory(tmp_path, form):
    """Neither while it is checked nor while it is read: a file that holds ten million bytes takes far less."""
    line = '{"text": "' + "x" * 1000 + '"}' if form == "jsonl" else "x" * 1000
    file = tmp_path / f"rows.{form}"
    file.write_text("text\n" * (form == "csv") + f"{line}\n" * 10_000, encoding="utf-8")
    tracemalloc.start()
    with open_rows(str(file), None, keeps_text=False) as rows:
        lengths = {len(row["text"]) for row in rows}
        _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(rows), lengths) == (10_000, {1000})
    assert most < 1_000_000


@pytest.mark.parametrize("added", ['{"n": 9}\n', "no row\n"])
@pytest.mark.parametrize("read", [0, 2])
def test_file_that_is_changed_after_it_was_checked_is_read_no_further(tmp_path, added, read):
    """What was checked and counted is what is sent, or the import stops and says why."""
    file = tmp_path / "rows.jsonl"
    file.write_text('{"n": 1}\n{"n": 2}\n{"n": 3}\n', encoding="utf-8")
    with open_rows(str(file), None, keeps_text=False) as rows:
        reading = iter(rows)
        got = [next(reading)["n"] for _ in range(read)]
        with file.open("a", encoding="utf-8") as other:
            other.write(added)
        with pytest.raises(ValueError, match=r"rows\.jsonl was changed while it was read"):
            got += [row["n"] for row in reading]
    assert got == [1, 2][:read]


def test_standard_input_is_read_as_a_file_is(served):
    """What can be read only once is checked before the first row is sent all the same."""
    done = served.run("import", "notes:add", "-", "--format", "csv", stdin="a,b\n1,2\n1,2,3\n")
    assert (done.exit_code, served.rows) == (2, [])
    assert "the standard input, line 3: the row has not the 2 cells" in done.stderr


def test_file_that_is_missing_is_named(served, tmp_path):
    """Before the server is asked."""
    done = served.run("import", "notes:add", tmp_path / "none.csv", "--url", "http://127.0.0.1:9")
    assert done.exit_code == 2
    assert "none.csv: no such file or directory" in done.stderr


def test_import_that_is_refused_tells_how_to_go_on_and_doubles_nothing(served, write):
    """The same rows under the same name: what is committed is not written again."""
    rows = [{"text": f"row {number}"} for number in range(30)]
    file = write("rows.jsonl", "\n".join(json.dumps(row) for row in [*rows[:20], {"text": "no"}, *rows[21:]]))
    done = served.run("import", "notes:add", file, "--chunk-size", 10)
    assert done.exit_code == 1
    assert "20 rows imported: such notes are refused" in done.stderr
    name = done.stderr.split("--import-id ")[1].strip()
    write("rows.jsonl", "\n".join(json.dumps(row) for row in rows))
    assert served.run("import", "notes:add", file, "--chunk-size", 10, "--import-id", name).exit_code == 0
    assert [row["text"] for row in served.rows] == [row["text"] for row in rows]


def test_import_of_no_rows_is_done_at_once(served, write):
    """An empty file is a success."""
    done = served.run("import", "notes:add", write("rows.csv", ""))
    assert (done.exit_code, told(done)[-1]["imported"]) == (0, 0)
