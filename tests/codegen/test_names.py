"""How names of the wire become names of Python."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.codegen.names import TypeNames, is_field, is_member, pascal, snake, words


@pytest.mark.parametrize(
    ("name", "member", "kind"),
    [
        ("list", "list", "List"),
        ("getURL", "get_url", "GetUrl"),
        ("HTTPServer", "http_server", "HttpServer"),
        ("sendV2Now", "send_v2_now", "SendV2Now"),
        ("v2", "v2", "V2"),
        ("already_snake", "already_snake", "AlreadySnake"),
        ("import", "import_", "Import"),
        ("None", "none", "None"),
        ("_hidden", "_hidden", "Hidden"),
        ("odd_", "odd_", "Odd"),
        ("_", "_", ""),
        ("große", "große", "Große"),
        ("हिन्दी", "हिन्दी", "हिन्दी"),
        ("消息", "消息", "消息"),
        ("ﬁnd", "find", "Find"),
    ],
)
def test_name_as_member_and_as_type(name, member, kind):
    """Members are snake_case, types PascalCase; keywords get an underscore; scripts without case stay as they are."""
    assert (snake(name), pascal(name)) == (member, kind)
    assert is_member(name)


@pytest.mark.parametrize("name", ["", "my-file", "a b", "1st", "a.b", "__class__", "__x", "a\n", "\ud800", "€"])
def test_name_that_is_no_member_is_told(name):
    """What is no identifier, or would be mangled within a class, is not guessed."""
    assert not is_member(name)


@pytest.mark.parametrize("key", ["", "class", "content-type", "__private", "1st", "ﬁ", "a b"])
def test_key_that_is_no_field_is_told(key):
    """Such a key cannot stand in the body of a class without becoming another one."""
    assert not is_field(key)
    assert is_field("channelId")


@given(st.text())
def test_name_of_any_kind_gives_identifiers_or_is_refused(name):
    """A member that is accepted can be written, and so can any type that ends like ours."""
    if is_member(name):
        assert snake(name).isidentifier()
        assert not keyword.iskeyword(snake(name))
        assert f"X{pascal(name)}".isidentifier()
        assert snake(snake(name)) == snake(name)


def test_words_of_a_name_with_signs_between():
    """Signs part words, as a change of case does."""
    assert words("a-bC.d$e f_g") == ["a", "b", "c", "d", "e", "f", "g"]


def test_type_name_that_is_taken_gets_a_number():
    """Names are unique and no keywords, in the order in which they are asked for."""
    names = TypeNames(["Any"])
    assert [names.take(each) for each in ("Any", "Row", "Row", "None", "1st", "")] == [
        "Any2",
        "Row",
        "Row2",
        "None2",
        "Schema1st",
        "Schema",
    ]


def test_type_name_is_the_one_that_python_reads():
    """A sign that joins the letter before it does so where parts meet, too."""
    assert TypeNames([]).take("Args" + pascal("\u00b4")) == "Arg\u015b"
