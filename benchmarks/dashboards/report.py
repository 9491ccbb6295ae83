"""The table of what was measured, in a page of the documentation."""

from statistics import median, quantiles

BEGIN, END = "<!-- views: python -m benchmarks.dashboards -->", "<!-- end of views -->"
HEAD = (
    "| View | Writes a second | From write to sight, ms: median, 99 %, longest | First, last part: median, ms |"
    " Process, CPU | Process, MiB | Page's heap, MiB | Page's process, MiB | Frames a second, longest pause |",
    "|---" * 9 + "|",
)
MIB = 2**20


def line(name, parts):
    """Return the line of a view.

    Args:
        name: Its name.
        parts: What was measured at the start, and then in each part of the time.
    """
    measured = parts[1:]
    seconds = sum(part["seconds"] for part in measured)
    delays = [[delay for _, delay in part["seen"]] for part in measured]
    cells = [
        f"`{name}`",
        f"{sum(part['writes'] for part in measured) / seconds:.0f}",
        _delays([delay for part in delays for delay in part]),
        f"{_median(delays[0])}, {_median(delays[-1])}",
        f"{sum(part['cpu'] for part in measured) / seconds:.0%}",
        _sizes(parts, "process"),
        _sizes(parts, "heap"),
        _sizes(parts, "page"),
        _smoothness(measured, seconds),
    ]
    return f"| {' | '.join(cells)} |"


def put(text, lines):
    """Return a page's text with the lines of some views; those of others stay."""
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise ValueError(f"the page has no {BEGIN} with {END} after it")
    kept = {each.split("|")[1].strip(): each for each in table.splitlines() if each.startswith("| `")}
    kept.update({each.split("|")[1].strip(): each for each in lines})
    return f"{before}{BEGIN}\n\n" + "\n".join([*HEAD, *kept.values()]) + f"\n\n{END}{after}"


def _delays(delays):
    if len(delays) < 2:
        return "never seen"
    return f"{median(delays):.0f}, {quantiles(delays, n=100, method='inclusive')[98]:.0f}, {max(delays):.0f}"


def _median(delays):
    return f"{median(delays):.0f}" if delays else "never seen"


def _sizes(parts, name):
    return ", ".join(f"{part[name] / MIB:.0f}" for part in parts) if name in parts[0] else ""


def _smoothness(measured, seconds):
    if "frames" not in measured[0]:
        return ""
    frames, longest = sum(part["frames"] for part in measured), max(part["longest"] for part in measured)
    return f"{frames / seconds:.0f}, {longest:.0f} ms"
