"""The server of a shop as a process of its own: ``python -m tests.faults.server HOST PORT [DIRECTORY]``."""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import urlsplit

from tests.faults.rows import rows_app


async def main(host: str, port: int, storage: str | None = None) -> None:
    app = rows_app().app
    async with app.serve(host, port, storage=storage) as url:
        sys.stdout.write(f"{urlsplit(url).port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
