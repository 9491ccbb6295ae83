"""The commands of ``lunora-rx``, one function each."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from lunora_rx import __version__
from lunora_rx.cli import calling, codegen, importing, queue, sending, serving, watching
from lunora_rx.cli.dashboard.command import dashboard
from lunora_rx.cli.record import record
from lunora_rx.cli.replay import replay
from lunora_rx.devserver.loop import run_loop

app = typer.Typer(
    name="lunora-rx",
    help="Live queries of Lunora in the terminal.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(queue.app, name="queue")
app.command(epilog='Example: lunora-rx record messages:list \'{"channel": "general"}\' -o session.jsonl --seconds 60')(
    record
)
app.command(epilog="Example: lunora-rx replay session.jsonl --speed 4")(replay)
app.command(epilog="Example: lunora-rx codegen http://127.0.0.1:8787 -o api.py")(codegen.codegen)
queue.app.command("send", epilog="Example: lunora-rx queue ./data send --url http://127.0.0.1:8787")(sending.send)
app.command("call", epilog="""Example: lunora-rx call messages:list '{"channel": "general"}'""")(calling.call)
app.command("import", epilog="Example: lunora-rx import songs:add songs.csv --chunk-size 1000")(importing.import_)
app.command("mutate", epilog="""Example: lunora-rx mutate messages:send '{"text": "hi"}'""")(calling.mutate)
app.command("serve", epilog="Example: lunora-rx serve app.py --port 8787 --storage ./data --reload")(serving.serve)
app.command("watch", epilog="""Example: lunora-rx watch readings:recent '{"limit": 50}' --sort -at""")(watching.watch)
app.command(epilog="Example: lunora-rx dashboard --url http://127.0.0.1:8787")(dashboard)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    """Live queries of Lunora in the terminal."""
    if version:
        print(__version__)
        raise typer.Exit


@app.command(epilog="Example: lunora-rx demo --seconds 15 --json")
def demo(
    seconds: Annotated[
        float | None, typer.Option(min=4, help="End after this long; without it, Ctrl-C ends the demo.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a second, and a summary as the last line.")
    ] = False,
    alert: Annotated[
        float, typer.Option(min=0, max=100, help="Mean CPU load, in percent, that raises the alert.")
    ] = 80,
    svg: Annotated[Path | None, typer.Option(help="Save the last display as a picture.")] = None,
) -> None:
    """Watch this machine's own readings, live from a server in a second process, through a cut of the connection.

    Exit code 0 only if every reading that was written was also shown.
    """
    if find_spec("psutil") is None:
        raise typer.BadParameter("the demo reads this machine with psutil: pip install 'lunora-rx[demo]'")
    from lunora_rx.cli.demo.run import DemoOptions, run_demo

    options = DemoOptions(seconds=seconds, as_json=as_json, alert=alert, svg=svg)
    raise typer.Exit(run_loop(run_demo(options)))
