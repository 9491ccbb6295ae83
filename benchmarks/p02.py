"""P2: frames of 100 rows to one observer."""

from benchmarks.frames import compare
from benchmarks.measure import Row


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    frames = 2_000 if quick else 10_000
    work = "20 KB `data` frames (100 rows of plain JSON) to one observer"
    return await compare("P2", work, ">= 0.9", frames=frames, rows=100, rounds=rounds)
