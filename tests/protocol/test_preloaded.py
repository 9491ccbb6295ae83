"""Preloaded values: a text that can stand in HTML, and what is refused as one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.errors import CodecError
from lunora_rx.protocol.preloaded import Preloaded
from lunora_rx.protocol.values import UNDEFINED, WireBigInt

NASTY = "</script><!--<script> & 'x' \u2028\u2029 ]]>"
VALID = {"__lunora": "preloaded", "args": {}, "functionPath": "a:b", "value": 1}


def _is_defined(value):
    return value is not UNDEFINED


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=8),
    st.integers().map(WireBigInt),
    st.just(UNDEFINED),
)
values = st.recursive(
    scalars,
    lambda each: st.lists(each, max_size=4) | st.dictionaries(texts, each.filter(_is_defined), max_size=4),
    max_leaves=8,
)


class Scripts(HTMLParser):
    """Collects what the script elements of a page hold, and its other elements."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.content = [], {}, ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data):
        self.content += data


@given(texts, st.dictionaries(texts, values.filter(_is_defined), max_size=3), st.none() | texts.filter(bool), values)
def test_preloaded_comes_back_as_it_was(path, args, shard, value):
    """Whatever the codec carries, through a text of harmless characters."""
    preloaded = Preloaded(path, args, shard, value)
    text = preloaded.serialize()
    assert not set("<>&'\u2028\u2029") & set(text)
    assert Preloaded.parse(text) == preloaded
    assert Preloaded.parse(text.encode()) == preloaded


def test_preloaded_record_is_the_wire_form_with_a_mark():
    """The documented shape; what JSON cannot hold goes out under a tag."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    record = json.loads(Preloaded("a:b", {"since": when}, "eu", [UNDEFINED]).serialize())
    assert record == {
        "__lunora": "preloaded",
        "args": {"since": ["$lunora.wire$", "date", 1767225600000]},
        "functionPath": "a:b",
        "shardKey": "eu",
        "value": [["$lunora.wire$", "undefined"]],
    }


@pytest.mark.parametrize("shard", [None, ""])
def test_preloaded_of_the_default_shard_names_none(shard):
    """Neither spelling is written, and the text gives ``None``."""
    text = Preloaded("a:b", {}, shard, 1).serialize()
    assert "shardKey" not in text
    assert Preloaded.parse(text).shard is None
    assert Preloaded.parse(json.dumps({**VALID, "shardKey": shard})).shard is None


def test_preloaded_can_stand_in_a_script_element():
    """No part of it ends the element, or opens another."""
    preloaded = Preloaded("a:b", {NASTY: NASTY}, NASTY, {NASTY: [NASTY]})
    page = Scripts(f"<script type='application/json'>{preloaded.serialize()}</script><b>after</b>")
    assert page.tags == ["script", "b"]
    assert Preloaded.parse(page.content.removesuffix("after")) == preloaded


def test_preloaded_can_stand_in_an_attribute_in_single_quotes():
    """And is read from there as it was written."""
    preloaded = Preloaded("a:b", {NASTY: NASTY}, None, NASTY)
    page = Scripts(f"<b data-preloaded='{preloaded.serialize()}'></b>")
    assert page.tags == ["b"]
    assert Preloaded.parse(page.attributes["data-preloaded"]) == preloaded


def test_preloaded_may_be_as_deep_as_what_was_received():
    """The record around it takes no level away."""
    value = 0
    for _ in range(64):
        value = [value]
    assert Preloaded.parse(Preloaded("a:b", {}, None, value).serialize()).value == value
    with pytest.raises(CodecError, match="deeper than 64"):
        Preloaded("a:b", {}, None, [value]).serialize()


def test_preloaded_is_shown_without_its_contents():
    """Arguments and values may be private."""
    assert repr(Preloaded("a:b", {"n": "canary"}, None, "canary")) == "Preloaded(function_path='a:b', shard=None)"


@pytest.mark.parametrize(
    ("args", "value", "path"), [({"n": object()}, 1, "args.n"), ({}, [object()], "value[0]"), ({}, "\ud800", "value")]
)
def test_preloaded_that_cannot_be_encoded_says_where(args, value, path):
    """The path begins with the part that it is in."""
    with pytest.raises(CodecError) as caught:
        Preloaded("a:b", args, None, value).serialize()
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        (b"\xff", "not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("null", "the text is no preloaded value"),
        ("[]", "the text is no preloaded value"),
        ('{"args": {}, "functionPath": "a:b", "value": 1}', "the text is no preloaded value"),
        (json.dumps({**VALID, "__lunora": True}), "the text is no preloaded value"),
        (json.dumps({**VALID, "functionPath": 1}), "'functionPath' is no string"),
        (json.dumps({**VALID, "args": ["$lunora.wire$", "map", []]}), "'args' is no object"),
        (json.dumps({**VALID, "args": None}), "'args' is no object"),
        (json.dumps({**VALID, "shardKey": 1}), "'shardKey' is no string"),
        ('{"__lunora": "preloaded", "args": {}, "functionPath": "a:b"}', "'value' is missing"),
        (json.dumps({**VALID, "args": {"n": ["$lunora.wire$", "bigint"]}}), "args.n: "),
        (json.dumps({**VALID, "value": ["$lunora.wire$", "bigint"]}), "value: "),
        (json.dumps({**VALID, "value": json.loads("[" * 66 + "]" * 66)}), "nested deeper than 64"),
    ],
)
def test_text_that_is_no_preloaded_value_is_refused(text, reason):
    """Nothing is guessed; the error says what is wrong, with the code of what cannot be decoded."""
    with pytest.raises(CodecError, match=reason) as caught:
        Preloaded.parse(text)
    assert caught.value.code == "WIRE_DECODE_FAILED"


def test_text_of_a_later_version_may_hold_more():
    """Members that are not known are ignored."""
    assert Preloaded.parse(json.dumps({**VALID, "madeAt": 5})) == Preloaded("a:b", {}, None, 1)


@pytest.mark.parametrize("text", [None, {}, 5])
def test_parse_of_what_is_no_text_is_a_type_error(text):
    """A preloaded value is parsed from a text."""
    with pytest.raises(TypeError, match=f"not {type(text).__name__}"):
        Preloaded.parse(text)
