"""URLs: which are taken, which are opened, and what is shown of them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.protocol.endpoints import (
    WS_PATH,
    check_origin,
    check_ws_url,
    place_of,
    redact_url,
    websocket_base,
    websocket_url,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://localhost", "http://localhost"),
        ("http://localhost/", "http://localhost"),
        ("http://localhost//", "http://localhost/"),
        ("https://app.example:8443/base/", "https://app.example:8443/base"),
        ("HTTPS://App.Example", "HTTPS://App.Example"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("http://bücher.example", "http://bücher.example"),
    ],
)
def test_origin_loses_exactly_one_trailing_slash(url, origin):
    """Nothing else of it is changed."""
    assert check_origin(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8787",
        "//localhost",
        "http://",
        "http:///path",
        "ws://localhost",
        "ftp://localhost",
        " http://localhost",
        "http://localhost ",
        "http://local host",
        "http://localhost\n.example",
        "http://local\thost",
        "http://localhost:port",
        "http://localhost:0",
        "http://localhost:99999",
        "http://[::1",
        "http://localhost?a=1",
        "http://localhost/#top",
    ],
)
def test_url_that_is_no_origin_is_refused_by_the_argument_name(url):
    """Before anything is opened."""
    with pytest.raises(ValueError, match=r"^url="):
        check_origin(url)


@pytest.mark.parametrize("url", [None, 5, b"http://localhost", ["http://localhost"]])
def test_url_that_is_no_string_is_a_type_error(url):
    """It names the argument, the type and an example."""
    with pytest.raises(TypeError, match=f"url is a string such as .*not {type(url).__name__}"):
        check_origin(url)
    with pytest.raises(TypeError, match=f"ws_url is a string such as 'ws:.*not {type(url).__name__}"):
        check_ws_url(url)


@pytest.mark.parametrize("url", ["ws://localhost", "wss://edge.example/socket?region=eu", "WS://h/"])
def test_explicit_websocket_url_is_used_verbatim(url):
    """Its slash and its parameters stay."""
    assert check_ws_url(url) == url


@pytest.mark.parametrize("url", ["http://localhost", "ws://", "wss:edge", "ws://h:x"])
def test_url_that_is_no_websocket_is_refused(url):
    """The schemes do not mix."""
    with pytest.raises(ValueError, match=r"^ws_url=.*absolute ws or wss URL"):
        check_ws_url(url)


@pytest.mark.parametrize(
    ("origin", "base"),
    [
        ("http://localhost:8787", "ws://localhost:8787/_lunora/ws"),
        ("https://app.example", "wss://app.example/_lunora/ws"),
        ("HTTPS://app.example/base", "wss://app.example/base/_lunora/ws"),
        ("HTTP://h", "ws://h/_lunora/ws"),
    ],
)
def test_websocket_follows_from_the_origin(origin, base):
    """A secure origin has a secure socket."""
    assert websocket_base(origin) == base


@pytest.mark.parametrize(
    ("base", "shard", "token", "url"),
    [
        ("ws://h/x", "", None, "ws://h/x"),
        ("ws://h/x", "room", None, "ws://h/x?shard=room"),
        ("ws://h/x", "", "t", "ws://h/x?token=t"),
        ("ws://h/x", "room", "t", "ws://h/x?shard=room&token=t"),
        ("ws://h/x?a=1", "room", "t", "ws://h/x?a=1&shard=room&token=t"),
        ("ws://h/x?", "", "t", "ws://h/x?&token=t"),
        ("ws://h/x", "a/b c&d=é", "v1.5.x+y==", "ws://h/x?shard=a%2Fb%20c%26d%3D%C3%A9&token=v1.5.x%2By%3D%3D"),
        ("ws://h/x", "", "", "ws://h/x"),
    ],
)
def test_websocket_url_names_shard_then_token(base, shard, token, url):
    """Percent-encoded; the default shard and a missing token are not named."""
    assert websocket_url(base, shard=shard, token=token) == url


@given(shard=TEXTS, token=TEXTS)
def test_parameters_survive_the_url(shard, token):
    """Whatever they hold."""
    url = websocket_url(f"ws://h{WS_PATH}", shard=shard, token=token)
    assert url.isascii()
    assert parse_qsl(urlsplit(url).query, strict_parsing=True) == [("shard", shard), ("token", token)]


@pytest.mark.parametrize(
    "text",
    [
        "ws://h/x?token=canary",
        "ws://h/x?shard=a&token=canary",
        "ws://h/x?TOKEN=canary&a=1",
        "cannot connect to 'ws://h/x?token=canary'",
        'see "ws://h/x?a=1;token=canary#top" for more',
        "https://user:canary@h/x",
        "two: wss://canary@h, ws://h?token=canary",
    ],
)
def test_text_that_is_shown_holds_no_credential(text):
    """Neither a token parameter nor a password."""
    shown = redact_url(text)
    assert "canary" not in shown
    assert "[redacted]" in shown


@pytest.mark.parametrize("text", ["ws://h/x?shard=a", "https://h/@user", "mail user@example.com", "token=1", ""])
def test_text_without_a_credential_is_shown_as_it_is(text):
    """Nothing is redacted for good measure."""
    assert redact_url(text) == text


@given(token=TEXTS)
def test_url_with_any_token_is_shown_without_it(token):
    """The rest stays readable."""
    url = websocket_url("wss://h/x", shard="room", token=token)
    assert redact_url(f"cannot open {url}") == "cannot open wss://h/x?shard=room&token=[redacted]"


def test_error_about_a_url_holds_no_credential():
    """It may end in a log."""
    for url in ["ftp://h?token=canary", "http://user:canary@h:x", "http://user:canary@h?a"]:
        with pytest.raises(ValueError, match="redacted") as refused:
            check_origin(url)
        assert "canary" not in str(refused.value)


def test_place_of_a_url_is_told_without_what_is_secret_in_it():
    """The host and the path say whom it is about."""
    assert place_of("wss://ana:secret@h:1/x?shard=room&token=secret#y") == "wss://h:1/x"
