"""What callers pass is checked at once, named, and never shown when it is a secret."""

from __future__ import annotations

from collections import UserDict

import pytest

from lunora_rx import KEEP, UNDEFINED, CodecError
from lunora_rx.arguments import (
    check_bookmarks,
    check_callable,
    check_count,
    check_header_text,
    check_instance,
    check_number,
    check_seconds,
    check_shard,
    check_subject,
    check_token,
    check_token_provider,
    check_topic,
    encode_args,
    encode_context,
    show_url,
)

CANARY = "canary-4711"


def test_args_absent_are_an_empty_object():
    """No arguments, no keys."""
    assert encode_args(None, "live()") == {}


def test_args_of_any_mapping_are_taken_as_they_are_now():
    """Any mapping will do, and later changes to it change nothing."""
    tags = ["x"]
    tree = encode_args(UserDict(tags=tags), "live()")
    tags.append("y")
    assert tree == {"tags": ["x"]}


@pytest.mark.parametrize("args", [[], "a", 5, {1}, object()])
def test_args_of_something_else_are_refused(args):
    """Arguments go by name."""
    with pytest.raises(TypeError, match=r"live\(\): args is a dict of arguments by name"):
        encode_args(args, "live()")


@pytest.mark.parametrize(
    ("args", "path"),
    [
        ({"items": [0, {"when": object()}]}, "args.items[1].when"),
        ({"text": "\ud800"}, "args.text"),
        ({1: 2}, "args"),
        ({"n": 2**60}, "args.n"),
    ],
)
def test_args_that_cannot_be_encoded_are_named(args, path):
    """The error says where the value is and in which call."""
    with pytest.raises(CodecError) as caught:
        encode_args(args, "live('a:b')")
    assert caught.value.path == path
    assert str(caught.value).endswith("(in live('a:b'))")


def test_context_undefined_is_none_at_all():
    """A context of ``None`` is one; ``UNDEFINED`` is not."""
    assert encode_context(UNDEFINED) is UNDEFINED
    assert encode_context(None) is None


@pytest.mark.parametrize(("shard", "name"), [(None, ""), ("", ""), ("s", "s"), ("ö/?", "ö/?")])
def test_shard_none_and_empty_are_the_default(shard, name):
    """Both name the default shard."""
    assert check_shard(shard) == name


@pytest.mark.parametrize("text", ["", "a\r\nb", "é", "\x7f"])
def test_header_text_unfit_for_a_header_is_refused_unseen(text):
    """Nothing can be smuggled into a header, and the error does not repeat what was tried."""
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        check_header_text(CANARY + text if text else text, "client_id")
    assert CANARY not in str(caught.value)


def test_token_none_and_providers_pass():
    """No token is fine, and so is what provides one."""
    assert check_token(None, "auth_token") is None
    assert check_token_provider(None, "ws_token") is None
    assert check_token_provider(len, "ws_token") is len
    assert check_token_provider("t", "ws_token") == "t"


@pytest.mark.parametrize("value", [True, "1", None, 1j])
def test_number_of_another_type_is_refused(value):
    """A bool is no number of seconds."""
    with pytest.raises(TypeError, match="linger"):
        check_number(value, "linger")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_number_that_is_not_finite_is_refused(value):
    """Never is not a number of seconds."""
    with pytest.raises(ValueError, match="linger"):
        check_number(value, "linger")


@pytest.mark.parametrize("value", [0, -1, 0.0])
def test_seconds_not_above_zero_are_refused(value):
    """A timeout of nothing is a mistake."""
    with pytest.raises(ValueError, match="timeout"):
        check_seconds(value, "timeout")


@pytest.mark.parametrize(("value", "kind"), [(True, TypeError), (1.5, TypeError), (0, ValueError), (-1, ValueError)])
def test_size_that_is_none_is_refused(value, kind):
    """Sizes are whole and above zero."""
    with pytest.raises(kind, match="max_body_size"):
        check_count(value, "max_body_size", of="bytes")


def test_bookmark_store_that_lacks_a_method_is_refused_by_its_name():
    """What is missing is named, before anything is asked of it."""
    with pytest.raises(TypeError, match=r"bookmarks has the methods .* str lacks get\(\)"):
        check_bookmarks("x", "bookmarks")


@pytest.mark.parametrize("subject", ["ana", None, KEEP])
def test_subject_that_is_one_passes(subject):
    """A user, nobody, or what it was before."""
    assert check_subject(subject, "auth_subject") is subject


def test_subject_of_another_type_is_refused_by_the_argument_name():
    """An id is a string."""
    with pytest.raises(TypeError, match="auth_subject is a string, None for nobody, or KEEP, not int"):
        check_subject(5, "auth_subject")


def test_instance_and_callable_name_what_is_expected():
    """Each says what it wants and what it got."""
    with pytest.raises(TypeError, match="reconnect is a int, not str"):
        check_instance("x", int, "reconnect")
    with pytest.raises(TypeError, match="on_error is a callable or None, not int"):
        check_callable(5, "on_error")
    assert check_callable(None, "on_error") is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://server.test/x", "http://server.test/x"),
        (f"http://user:{CANARY}@server.test", "http://server.test"),
        (f"ws://server.test/ws?shard=s&token={CANARY}&x=1", "ws://server.test/ws?shard=s&token=[redacted]&x=1"),
    ],
)
def test_url_is_shown_without_secrets(url, shown):
    """Neither a password nor a token is shown."""
    assert show_url(url) == shown


@pytest.mark.parametrize("topic", ["t", "room/7", "ö", " "])
def test_topic_is_any_name(topic):
    """It is sent as it is."""
    assert check_topic(topic) == topic


@pytest.mark.parametrize(("topic", "kind"), [("", ValueError), (None, TypeError), (b"t", TypeError), (5, TypeError)])
def test_topic_that_is_no_name_is_refused(topic, kind):
    """The message says what it has to be."""
    with pytest.raises(kind, match=r"^topic is a "):
        check_topic(topic)
