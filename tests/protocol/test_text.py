"""JSON text: what is parsed, what is walked, and what is never written."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import math
import sys
import uuid
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.errors import CodecError
from lunora_rx.protocol import text as text_module
from lunora_rx.protocol.text import dumps, loads, may_hold_tag, parse, serialize, spell
from lunora_rx.protocol.values import UNDEFINED, WireBigInt, WireDate, WireUrl
from lunora_rx.protocol.wire import TAG

BIGINT_7 = f'["{TAG}","bigint","7"]'


@dataclasses.dataclass
class Row:
    a: int = 1


def both(text: str) -> list[str | bytes]:
    """Give a text the two ways it may arrive."""
    return [text, text.encode()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.0", 1.0),
        ("1", 1),
        ('{"b":1,"a":[null,true]}', {"b": 1, "a": [None, True]}),
        (BIGINT_7, WireBigInt(7)),
        (f'{{"price":"$5","n":{BIGINT_7}}}', {"price": "$5", "n": WireBigInt(7)}),
        (r'["\u0024lunora.wire$","bigint","7"]', WireBigInt(7)),
        (r'["$lunora\u002Ewire$","bigint","7"]', WireBigInt(7)),
        (r'["$luno\u0072a.wire$","bigint","7"]', WireBigInt(7)),
        (r'["$lun\u006fra.wire$","bigint","7"]', WireBigInt(7)),
        (r'["\\u0024lunora.wire$","bigint","7"]', [r"\u0024lunora.wire$", "bigint", "7"]),
    ],
)
def test_text_loaded_gives_its_value_with_its_types(text: str, value: Any) -> None:
    """However the tag is spelled, it is a tag; and an integral literal is an int."""
    for arriving in both(text):
        assert loads(arriving) == value
        assert type(loads(arriving)) is type(value)


@pytest.mark.parametrize("code", sorted({ord(letter) for letter in TAG}))
def test_every_character_of_the_tag_escaped_may_hold_a_tag(code: int) -> None:
    """No spelling of the tag is missed, in either case of its hexadecimal digits."""
    for escape in (f"\\u{code:04x}", f"\\u{code:04X}"):
        text = f'["{TAG.replace(chr(code), escape)}","nan"]'
        assert all(may_hold_tag(arriving) for arriving in both(text))
        assert all(math.isnan(loads(arriving)) for arriving in both(text))


@given(st.lists(st.booleans(), min_size=len(TAG), max_size=len(TAG)))
def test_tag_escaped_in_any_places_is_found(places: list[bool]) -> None:
    """Any mixture of escaped and plain characters is the tag."""
    spelled = "".join(f"\\u{ord(letter):04x}" if place else letter for letter, place in zip(TAG, places, strict=True))
    for arriving in both(f'["{spelled}","inf"]'):
        assert may_hold_tag(arriving)
        assert loads(arriving) == math.inf


@pytest.mark.parametrize(
    "text", ["", "{}", '"$5 and $6"', r'"\n \" \\ \/"', r'"\u001b[0m \u4e2d \ud83d\ude00"', '"lunora.wire"']
)
def test_text_without_a_possible_tag_is_not_walked(text: str) -> None:
    """A price, a line feed or an escaped foreign letter costs no walk."""
    assert not any(may_hold_tag(arriving) for arriving in both(text))


def test_plain_text_is_given_as_parsed() -> None:
    """Without a tag the parse is the value: beyond the codec's depth, and with its wide integers."""
    assert loads("[" * 100 + "]" * 100) == orjson.loads("[" * 100 + "]" * 100)
    assert loads(str(2**60)) == 2**60
    assert type(loads(str(2**60))) is int


def test_text_with_a_tag_is_walked_whole() -> None:
    """Where a walk happens, its limits hold."""
    assert loads(f"[{2**60}, {BIGINT_7}]") == [float(2**60), 7]
    assert type(loads(f"[{2**60}, {BIGINT_7}]")[0]) is float
    with pytest.raises(CodecError, match="64 levels"):
        loads("[" * 65 + BIGINT_7 + "]" * 65)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud800"', "\ud800"),
        (r'{"\udfff":1}', {"\udfff": 1}),
        (r'["\ud800",' + BIGINT_7 + "]", ["\ud800", WireBigInt(7)]),
        ("1" + "0" * 400, math.inf),
        ("-1" + "0" * 5000, -math.inf),
        ("[1e400,-1e400]", [math.inf, -math.inf]),
        ("[1e400,9007199254740993]", [math.inf, 9007199254740993]),
        ("[1e400,99999999999999999999]", [math.inf, 1e20]),
        ("[1e400,999999999999999999999]", [math.inf, 1e21]),
    ],
)
def test_legal_text_that_the_fast_parser_refuses_is_parsed(text: str, value: Any) -> None:
    """A lone surrogate and a number beyond a double are JSON; digits are never converted without a bound."""
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(text)
    for arriving in both(text):
        assert loads(arriving) == value


def test_text_of_a_str_with_a_lone_surrogate_is_parsed() -> None:
    """A str need not have come from UTF-8."""
    assert parse('"\ud800"') == "\ud800"


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            " ",
            "{",
            "[1,]",
            "{'a':1}",
            "nul",
            "01",
            "+1",
            ".5",
            "1.",
            "\ufeff1",
            '"\x00"',
            '"\\x"',
            '"\\u12"',
            "1 2",
        ],
        *["NaN", "[Infinity]", "-Infinity", "[1e400,NaN]"],
        *[b"\xff", b'"\xed\xa0\x80"', '"a"'.encode("utf-16"), '"a"'.encode("utf-16-le")],
        *["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000],
    ],
)
def test_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    """Every failure of either parser is a CodecError that quotes and keeps nothing of the text."""
    for arriving in both(text) if isinstance(text, str) else [text]:
        with pytest.raises(CodecError, match="not valid JSON") as caught:
            parse(arriving)
        assert caught.value.code == "WIRE_DECODE_FAILED"
        assert caught.value.__context__ is None


def test_text_refused_by_the_codec_names_the_place() -> None:
    """A decode error of a text has the path of its value."""
    with pytest.raises(CodecError) as caught:
        loads(f'{{"a":[0,["{TAG}","bigint",7]]}}')
    assert caught.value.path == "value.a[1]"


@given(st.text() | st.binary() | st.text().map(lambda rest: f'["{TAG}",{rest}'))
def test_text_of_junk_loads_or_raises_codec_error(text: str | bytes) -> None:
    """Whatever arrives is a value or a CodecError."""
    with contextlib.suppress(CodecError):
        loads(text)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(plain)
def test_plain_value_dumped_is_what_any_json_reader_reads(value: Any) -> None:
    """A plain value is its own text; both parsers and both forms of text agree."""
    text = dumps(value)
    assert json.loads(text) == value
    assert loads(text) == loads(text.decode()) == value
    assert loads(json.dumps(value)) == value


def test_value_dumped_is_written_compactly_and_in_order() -> None:
    """The text is UTF-8, without spaces, keys as they came."""
    value = {"é": WireBigInt(7), "a": [WireUrl("a:b"), UNDEFINED, 1.5], "gone": UNDEFINED}
    expected = f'{{"é":{BIGINT_7},"a":[["{TAG}","url","a:b"],["{TAG}","undefined"],1.5]}}'
    assert dumps(value) == expected.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, WireDate(math.nan), [{"a": math.nan}]])
def test_number_that_json_cannot_hold_is_never_written(value: Any) -> None:
    """It goes out as a tag, neither as a literal nor as null."""
    assert b"NaN" not in dumps(value)
    assert b"Inf" not in dumps(value)
    assert b"null" not in dumps(value)
    assert str(loads(dumps(value))) == str(value)


@pytest.mark.parametrize(
    "tree",
    [
        "\ud800",
        {"\ud800": 1},
        UNDEFINED,
        WireBigInt(7),
        WireUrl("a:b"),
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        Row(),
        b"a",
        {1: 2},
        [2**70],
        object(),
    ],
)
def test_tree_that_was_not_encoded_is_not_serialized(tree: Any) -> None:
    """Only an encoded tree becomes text: nothing is coerced on the way, and nothing of it is quoted."""
    with pytest.raises(CodecError, match="cannot be written as JSON") as caught:
        serialize(tree)
    assert caught.value.__context__ is None


def test_deepest_value_is_serialized_and_loaded() -> None:
    """The codec's depth limit stays within the parser's and the writer's."""
    tree: Any = 1
    for _ in range(64):
        tree = [TAG, "map", [[0, tree]]]
    value = loads(serialize(tree))
    assert dumps(value) == serialize(tree)


def test_uuid_given_as_a_value_is_refused_by_dumps() -> None:
    """The writer would take some types that the protocol does not know."""
    with pytest.raises(CodecError, match="UUID"):
        dumps(uuid.UUID(int=0))


def test_tag_searched_in_bytes_and_text_is_one_tag() -> None:
    """Both searches look for the same thing."""
    assert text_module._TAG_BYTES.decode() == TAG


@pytest.fixture
def deep_stack():
    """As deep as Python 3.12 and later let the tolerant parser go."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_tolerant_parser_goes_as_deep_as_the_fast_one(deep_stack, opening, closing):
    """And no deeper, in every version of Python; brackets within a string are no levels."""

    def nested(levels, inside):
        return f"[{inside},{opening * (levels - 1)}{closing * (levels - 1)}]".replace(":}", ":0}")

    for inside in ("0", '"\\ud800"', '"\\ud800[[["'):
        assert parse(nested(1024, inside))
        with pytest.raises(CodecError, match="nested too deeply"):
            parse(nested(1025, inside))


@pytest.mark.parametrize("literal", ["99999999999999999999", "-9223372036854775809", "18446744073709551616", "9" * 400])
def test_tolerant_parser_reads_integers_as_the_fast_one_does(literal):
    """A lone surrogate beside it makes no number an int that cannot be written again."""
    [number, _] = parse(f'[{literal},"\\ud800"]')
    assert type(number) is float
    assert number == float(literal)
    assert parse('[18446744073709551615,"\\ud800"]')[0] == 2**64 - 1


@pytest.mark.parametrize(
    "text", ['["\\ud800",{"\\udfff":[]}]', "[" * 1000 + "]" * 1000, '{"a":' * 900 + "1.5" + "}" * 900]
)
def test_spell_repeats_what_serialize_refuses(text):
    """Lone surrogates are escaped, and no depth is too deep."""
    tree = parse(text)
    with pytest.raises(CodecError):
        serialize(tree)
    assert spell(tree) == text


def test_spell_refuses_what_is_no_json():
    """It repeats what was received, and encodes nothing."""
    with pytest.raises(TypeError):
        spell([UNDEFINED])
