"""Draws the samples of a run, as a small SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.soak.samples import COUNTS, Sample


def plot(samples: Sequence[Sample], path: Path) -> None:
    """Draw memory, objects and counts over the reconnects of a run; needs matplotlib."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "soak", "font.size": 8})
    figure, (top, middle, bottom) = pyplot.subplots(3, 1, sharex=True, figsize=(7, 6), layout="constrained")
    across = [each.reconnects for each in samples]
    top.plot(across, [each.rss / 2**20 for each in samples])
    top.set_ylabel("resident, MiB")
    middle.plot(across, [each.blocks / 1000 for each in samples], label="blocks")
    middle.plot(across, [each.objects / 1000 for each in samples], label="objects")
    middle.set_ylabel("thousands")
    for name in COUNTS:
        bottom.plot(across, [getattr(each, name) for each in samples], label=name)
    bottom.set_xlabel(f"reconnects ({samples[-1].frames:,} frames, {samples[-1].seconds / 60:.0f} minutes in all)")
    for axes in (top, middle, bottom):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    for axes in (middle, bottom):
        axes.legend(loc="center right", ncols=4, frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None})
