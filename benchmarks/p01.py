"""P1: small frames to one observer."""

from benchmarks.frames import compare
from benchmarks.measure import Row


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row."""
    frames = 20_000 if quick else 100_000
    return await compare("P1", "200-byte `data` frames to one observer", ">= 0.5", frames=frames, rows=0, rounds=rounds)
