"""How commands end: one place that turns what happened into a message and an exit code."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import typer

from lunora_rx.cli.text import complain
from lunora_rx.devserver.loop import run_loop
from lunora_rx.errors import LunoraError, TransportError

Redact: TypeAlias = Callable[[str], str]


class ExitCode(enum.IntEnum):
    """What a command tells the program that ran it; 0 only on success."""

    SUCCESS = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class CommandError(Exception):
    """A command cannot go on; says what to do about it, and how to end.

    Args:
        message: For a person; may have several lines.
        code: The exit code.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def run(
    command: str, main: Coroutine[Any, Any, None], *, redact: Redact = str, interrupted: ExitCode = ExitCode.INTERRUPTED
) -> None:
    """Run a command to its end, on uvloop where that is installed.

    Args:
        command: Its name, for messages.
        main: What it does.
        redact: Takes credentials out of a message.
        interrupted: The exit code after Ctrl-C; ``SUCCESS`` for commands that have no other end.

    Raises:
        typer.Exit: It ended with something other than success.
    """
    try:
        run_loop(main)
    except KeyboardInterrupt:
        code = interrupted
    except BrokenPipeError:
        code = _leave_the_pipe(interrupted)
    except CommandError as error:
        complain(command, redact(error.message))
        code = error.code
    except LunoraError as error:
        complain(command, redact(_told(error)))
        code = ExitCode.UNREACHABLE if isinstance(error, TransportError) else ExitCode.FAILED
    except (TypeError, ValueError) as error:  # what the client says of arguments that it is given
        complain(command, redact(str(error)))
        code = ExitCode.USAGE
    else:
        return
    raise typer.Exit(code)


def _leave_the_pipe(interrupted: ExitCode) -> ExitCode:
    # The reader has what it wanted, as `head` does; at exit Python would flush into the closed pipe and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return interrupted


def _told(error: LunoraError) -> str:
    lines = [str(error)]
    hints = [error.hint] if isinstance(error.hint, str) else list(error.hint or ())
    lines += [f"hint: {hint}" for hint in hints]
    if error.docs_url:
        lines.append(f"see {error.docs_url}")
    return "\n".join(lines)
