"""Gives birth to the programs of a run: ``python -m tests.crash.nursery``.

It has imported everything before it forks, so that a process begins its work at once: what is to be killed in its
first milliseconds must not spend a second on imports, and hundreds of processes not minutes. Each line on standard
input is a JSON list: the program, the file for its standard error, and its arguments. Each answer is a process id.
When the input ends, so do the children.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import NoReturn

from tests.crash import server, writer

_PROGRAMS = {"server": server.main, "writer": writer.main}


def main() -> None:
    """Fork what is asked for, until the input ends."""
    children: list[int] = []
    for line in sys.stdin:
        children = [child for child in children if os.waitpid(child, os.WNOHANG) == (0, 0)]
        child = os.fork()
        if child == 0:
            _live(*json.loads(line))
        children.append(child)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
    for child in children:
        os.kill(child, signal.SIGKILL)  # one that ended is not reaped yet: its id is still its own
        os.waitpid(child, 0)


def _live(program: str, complaints: str, *arguments: str) -> NoReturn:
    nothing = os.open(os.devnull, os.O_RDWR)
    errors = os.open(complaints, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for file, stream in ((nothing, 0), (nothing, 1), (errors, 2)):
        os.dup2(file, stream)
    try:
        _PROGRAMS[program](*arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
