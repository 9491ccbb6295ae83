"""Entry point of ``lunora-rx``; says what to install where the extras are missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command line."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(f"lunora-rx needs {', '.join(missing)}: pip install 'lunora-rx[cli]'", file=sys.stderr)
        raise SystemExit(2)
    from lunora_rx.cli.commands import app

    app()


if __name__ == "__main__":
    main()
