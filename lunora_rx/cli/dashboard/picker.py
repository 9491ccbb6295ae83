"""The side of the page where a function is picked, given arguments and started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lunora_rx.cli.dashboard.arguments import ArgumentsError
from lunora_rx.cli.dashboard.catalog import Catalog, Listed, ListedKind
from lunora_rx.cli.dashboard.form import ArgumentsForm
from lunora_rx.cli.dashboard.toolkit import Message, pn
from lunora_rx.errors import LunoraError

OTHER: Final = "another function…"
_VERBS: Final[dict[ListedKind, str]] = {
    "query": "Watch",
    "shape": "Watch shape",
    "stream": "Run stream",
    "mutation": "Run mutation",
    "action": "Run action",
}
_NARROW: Final = ".bk-btn { padding: 4px 2px; font-size: 12px; }"


class Picker:
    """Picks a function and its arguments.

    Args:
        start: Called with the function, its arguments and its shard; what it raises is shown.

    Attributes:
        view: What the page shows.
    """

    def __init__(self, start: Callable[[Listed, dict[str, Any], str | None], None]) -> None:
        self._start = start
        self._catalog = Catalog()
        wide = {"sizing_mode": "stretch_width"}
        self._function = pn.widgets.Select(name="Function", groups={"By hand": [OTHER]}, **wide)
        self._path = pn.widgets.TextInput(name="Function path", placeholder="messages:list", **wide)
        self._kind = pn.widgets.RadioButtonGroup(
            options=list(_VERBS), value="query", button_style="outline", stylesheets=[_NARROW], **wide
        )
        self._form = ArgumentsForm()
        self._shard = pn.widgets.TextInput(name="Shard (optional)", placeholder="the default shard", **wide)
        self._button = pn.widgets.Button(name=_VERBS["query"], button_type="primary", **wide)
        self._text, self._problem, self._error = Message("note"), Message("note"), Message("error")
        self._by_hand = pn.Column(self._path, self._kind, margin=0, **wide)
        self._function.param.watch(lambda _: self._pick(), "value")
        self._kind.param.watch(lambda _: self._pick(), "value")
        self._button.on_click(lambda _: self._run())
        self.view = pn.Column(
            self._function,
            self._by_hand,
            self._text.pane,
            self._form.view,
            self._shard,
            self._button,
            self._error.pane,
            self._problem.pane,
            **wide,
        )
        self._pick()

    def offer(self, catalog: Catalog) -> None:
        """Offer the functions of a catalogue; without one, a path is typed by hand."""
        self._catalog = catalog
        groups = {**catalog.groups(), "By hand": [OTHER]}
        chosen = self._function.value
        known = [path for paths in groups.values() for path in paths]
        self._function.param.update(groups=groups, value=chosen if chosen in known and chosen != OTHER else known[0])
        self._problem.show(catalog.problem)
        self._pick()

    @property
    def _picked(self) -> Listed:
        listed = self._catalog.functions.get(self._function.value)
        return listed or Listed((self._path.value_input or self._path.value).strip(), self._kind.value)

    def _pick(self) -> None:
        picked = self._picked
        self._by_hand.visible = self._function.value == OTHER
        self._button.name = _VERBS[picked.kind]
        self._text.show(picked.text)
        self._error.show("")
        self._form.show(picked)

    def _run(self) -> None:
        self._error.show("")
        try:
            self._start(self._picked, self._form.read(), self._shard.value.strip() or None)
        except (ArgumentsError, LunoraError, TypeError, ValueError) as error:
            self._error.show(str(error))
