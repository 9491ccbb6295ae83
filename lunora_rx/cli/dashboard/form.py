"""The arguments of the picked function: a form where its schema allows one, JSON text besides."""

from __future__ import annotations

from typing import Any

from lunora_rx.cli.dashboard.arguments import check_args, parse_args
from lunora_rx.cli.dashboard.catalog import Listed
from lunora_rx.cli.dashboard.fields import Field, fields_of, tree_of
from lunora_rx.cli.dashboard.toolkit import pn
from lunora_rx.protocol.text import serialize

_FORM, _JSON = 0, 1
_LEFT_OUT = ""


class ArgumentsForm:
    """Takes arguments, in either way; what one way holds goes along to the other.

    Attributes:
        view: What the page shows.
    """

    def __init__(self) -> None:
        self.view = pn.Column(sizing_mode="stretch_width", margin=0)
        self._text = pn.widgets.TextAreaInput(
            name="Arguments (JSON)", placeholder="{}", rows=6, sizing_mode="stretch_width", css_classes=["args-json"]
        )
        self._fields: tuple[Field, ...] = ()
        self._widgets: dict[str, Any] = {}
        self._tabs: Any = None
        self._schema: dict[str, Any] = {}

    def show(self, function: Listed) -> None:
        """Show the form of a function, empty."""
        self._schema = dict(function.schema)
        self._fields = fields_of(function.schema)
        self._widgets = {each.name: _widget(each) for each in self._fields}
        self._text.value = ""
        if not self._fields:
            self._tabs = None
            self.view.objects = [self._text]
            return
        form = pn.Column(*self._widgets.values(), sizing_mode="stretch_width", margin=0)
        self._tabs = pn.Tabs(("Form", form), ("JSON", self._text), dynamic=True, sizing_mode="stretch_width")
        self._tabs.param.watch(self._carry_over, "active")
        self.view.objects = [self._tabs]

    def read(self) -> dict[str, Any]:
        """Return the arguments.

        Raises:
            ArgumentsError: They cannot be sent.
        """
        return check_args(self._tree(), self._schema)

    def _tree(self) -> dict[str, Any]:
        if self._tabs is None or self._tabs.active == _JSON:
            return parse_args(self._text.value_input or self._text.value)
        return tree_of(self._fields, self._entries())

    def _entries(self) -> dict[str, str]:
        return {name: str(widget.value or "") for name, widget in self._widgets.items()}

    def _carry_over(self, change: Any) -> None:
        if change.new != _JSON:
            return
        try:
            tree = tree_of(self._fields, self._entries())
        except ValueError:
            return  # the form goes on showing it, and says so when it is sent
        self._text.value = serialize(tree).decode() if tree else ""


def _widget(field: Field) -> Any:
    name = field.name if field.is_required else f"{field.name} (optional)"
    options: dict[str, Any] = {"name": name, "sizing_mode": "stretch_width", "description": field.note or None}
    if field.kind in ("boolean", "choice"):
        choices = ["true", "false"] if field.kind == "boolean" else [str(each) for each in field.choices]
        return pn.widgets.Select(options=[_LEFT_OUT, *choices], **options)
    if field.kind == "json":
        return pn.widgets.TextAreaInput(placeholder="JSON", rows=2, **options)
    return pn.widgets.TextInput(placeholder=field.kind, **options)
