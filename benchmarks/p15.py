"""P15: a client that is kept busy for long."""

from benchmarks.measure import Row
from benchmarks.soak.run import soak
from benchmarks.soak.samples import COUNTS, grown, growth


async def measure(*, rounds: int, quick: bool) -> Row:
    """Measure the row; one run, however many rounds are asked for."""
    frames, reconnects = (10_000, 100) if quick else (1_000_000, 10_000)
    samples = await soak(frames=frames, reconnects=reconnects)
    medians = growth(samples)
    start, end = medians["rss"]
    counted = ", ".join(f"{name} {medians[name][0]:.0f} and {medians[name][1]:.0f}" for name in COUNTS)
    found = grown(samples)
    return Row(
        "P15",
        f"resident memory at the end of a soak: {samples[-1].frames:,} frames, {samples[-1].reconnects:,} reconnects",
        "its start, after a tenth",
        [end],
        [start],
        "no growth (1.0)",
        is_speed=False,
        remark=f"{counted}; {'**grown**: ' + '; '.join(found) if found else 'nothing has grown'}",
        extra={"samples": [each.as_json() for each in samples]},
    )
