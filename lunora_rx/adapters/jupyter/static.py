"""What is readable where nothing is live: in a terminal, on a web page that shows notebooks, in a diff."""

from __future__ import annotations

from html import escape
from typing import Any

from lunora_rx.adapters.jupyter.badges import Badge
from lunora_rx.adapters.jupyter.cells import NO_VALUE, Table, table_of, text_of

TEXT_ROWS = 20

_TONES = {
    "live": "#1a7f37",
    "latest": "#0969da",
    "stale": "#9a6700",
    "failed": "#cf222e",
    "loading": "#656d76",
    "ended": "#656d76",
}
_BADGE = "color:#fff;border-radius:1em;padding:0.1em 0.7em;font-size:0.85em;background:"


def as_text(title: str, badge: Badge, value: Any, *, has_value: bool) -> str:
    """Return plain text: a line that names it, then the value, rows one below the other."""
    head = f"{title} ({badge.label})"
    if not has_value:
        return f"{head}: {NO_VALUE}"
    table = table_of(value, TEXT_ROWS)
    return f"{head}: {text_of(value)}" if table is None else "\n".join([head, *_lines(table)])


def as_html(title: str, badge: Badge, value: Any, *, has_value: bool) -> str:
    """Return HTML that needs no script and no style sheet, with nothing of the value taken as markup."""
    head = f"<strong>{escape(title)}</strong> <span style='{_BADGE}{_TONES[badge.tone]}'>{escape(badge.label)}</span>"
    return f"<div>{head}{_body(value) if has_value else f'<p><em>{NO_VALUE}</em></p>'}</div>"


def _lines(table: Table) -> list[str]:
    rows = [table.columns, *table.rows] if table.columns else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines + _rest(table)


def _body(value: Any) -> str:
    table = table_of(value)
    if table is None:
        return f"<p style='font-size:1.5em'>{escape(text_of(value))}</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    rest = "".join(f"<p><em>{each}</em></p>" for each in _rest(table))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{rest}"


def _rest(table: Table) -> list[str]:
    if not table.rows:
        return ["no rows"]
    return [f"and {table.more:,} more rows"] if table.more else []
