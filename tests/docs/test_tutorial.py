"""docs/tutorial.md, done as a newcomer does it: the same files, commands and cells, in the same order."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lunora_rx import ClientClosedError
from tests.devserver.program import posix_only
from tests.docs.blocks import blocks_of
from tests.support import until

PAGE = blocks_of("docs/tutorial.md")
URL = "http://127.0.0.1:8787"
PATIENCE = 60
SENSORS = ("cellar", "kitchen", "roof")


def files():
    """Return the files that the page has one write, by name."""
    named = [(re.match(r"# (\w+\.py)\n", each.text), each.text) for each in PAGE if each.language == "python"]
    return {name[1]: text for name, text in named if name}


def cells(heading):
    """Return the cells of a notebook under a heading."""
    return [each.text for each in PAGE if (each.language, each.heading) == ("python", heading)]


def commands(heading):
    """Yield the commands under a heading, and what each is to print."""
    for block in PAGE:
        if (block.language, block.heading) == ("console", heading):
            for example in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, printed = example.partition("\n")
                yield shlex.split(command), printed


def program(words):
    """Return what runs a command of the page in this environment."""
    return [sys.executable, *(["-m", "lunora_rx.cli"] if words[0] == "lunora-rx" else []), *words[1:]]


def agrees(printed, promised):
    """Whether a program has printed what the page says; three dots stand for anything."""
    return re.fullmatch(re.escape(promised).replace(re.escape("..."), ".+"), printed) is not None


class Desk:
    """The directory of the tutorial, and what runs in it."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.url = URL
        for name, text in files().items():
            (directory / name).write_text(text, encoding="utf-8")

    @contextmanager
    def served(self):
        """Serve as the page does, on the port of the first time; Ctrl-C ends it."""
        ((words, promised),) = [each for each in commands("Serve") if "serve" in each[0]]
        command = [*program(words), "--port", "0" if self.url == URL else self.url.rpartition(":")[2]]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=self.directory) as process:
            try:
                told = process.stdout.readline()
                assert agrees(told, promised.replace(URL, "...")), told
                (self.url,) = re.findall(r"http://[\d.:]+", told)
                for name, text in files().items():
                    (self.directory / name).write_text(self.local(text), encoding="utf-8")
                yield
                process.send_signal(signal.SIGINT)
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()

    def local(self, text):
        """Return a text of the page with the address of the server that runs."""
        return text.replace(URL, self.url)

    @property
    def environment(self):
        """The environment of commands."""
        return {**os.environ, "LUNORA_URL": self.url, "TERM": "xterm-256color"}

    def follow(self, heading):
        """Run the commands under a heading that end by themselves, and compare what they print."""
        for words, promised in commands(heading):
            if "serve" not in words:
                done = subprocess.run(
                    program(words), capture_output=True, text=True, cwd=self.directory, env=self.environment
                )
                assert (done.returncode, done.stderr) == (0, ""), words
                assert agrees(done.stdout, promised), f"{words}\n{done.stdout}"

    def watch(self, *shown):
        """Run the command under a heading in a terminal, until the screen shows some texts; then leave it."""
        import fcntl
        import pty
        import struct
        import termios

        ((words, _),) = commands("In the terminal")
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        with subprocess.Popen(program(words), cwd=self.directory, env=self.environment, **streams) as process:
            os.close(theirs)
            try:
                seen = b""
                while not all(each.encode() in seen for each in shown):
                    seen += os.read(ours, 65536)
                os.write(ours, b"q")
                while _read(ours):
                    pass
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()
                os.close(ours)


def _read(terminal):
    """Return what comes from a terminal; nothing once the program has left it."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


async def run_cell(text, names):
    """Run a cell as a notebook does; return the value of its last line, if that is an expression."""
    tree = ast.parse(text)
    last = tree.body.pop().value if isinstance(tree.body[-1], ast.Expr) else ast.Constant(None)
    tree.body.append(ast.fix_missing_locations(ast.Assign([ast.Name("_last", ast.Store())], last, lineno=1)))
    running = eval(compile(tree, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(running):
        await running
    return names["_last"]


def test_every_cell_of_the_page_is_run():
    """A cell under another heading would be left out."""
    run = [each for heading in ("In a notebook", "Cut the connection", "The end") for each in cells(heading)]
    assert run == [each.text for each in PAGE if each.language == "python" and each.text not in files().values()]
    assert len(run) == 4


def is_badge(shown, words):
    """Whether that is what a view's badge says."""
    return f" ({words})" in shown._repr_mimebundle_()[0]["text/plain"].splitlines()[0]


@posix_only
async def test_tutorial_shows_what_it_says(tmp_path, capsys):
    """Each command prints what stands below it; the chart is live, cut off, and live again with nothing lost."""
    desk, names = Desk(tmp_path), {}
    with ExitStack() as server:
        server.enter_context(desk.served())
        for heading in ("Serve", "A live query in a program"):
            await asyncio.to_thread(desk.follow, heading)
        await asyncio.to_thread(desk.watch, "celsius", "roof", "20.5")
        chart, write = map(desk.local, cells("In a notebook"))
        shown = await run_cell(chart, names)
        client, readings = names["client"], names["readings"]
        with readings.subscribe():  # as a view does once it is seen
            await run_cell(write, names)
            await until(lambda: is_badge(shown, "live") and len(readings.value) > 9, patience=PATIENCE)
            await asyncio.to_thread(server.close)
            await until(lambda: is_badge(shown, "offline, 1 write pending"), patience=PATIENCE)
            await run_cell(*cells("Cut the connection"), names)
            assert capsys.readouterr().out.endswith("offline with 1 write that waits\n")
            await asyncio.to_thread(server.enter_context, desk.served())
            count = len(readings.value)
            await until(lambda: is_badge(shown, "live") and len(readings.value) > count + 9, patience=PATIENCE)
            written = [row["sensor"] for row in reversed(readings.value)][3:]
            assert written == [SENSORS[place % 3] for place in range(len(written))]
            await run_cell(*cells("The end"), names)
    with pytest.raises(ClientClosedError):
        await client.query("readings:list")
