"""Who is signed in, and what a change means."""

from __future__ import annotations

import pytest

from lunora_rx.core.identity import KEEP, Gate, Identity, IdentityChange, change_token, gate, learn_subject
from lunora_rx.protocol.values import UNDEFINED

ANA = Identity("token-a", "ana")


@pytest.mark.parametrize(
    ("identity", "fingerprint"),
    [
        (Identity(), None),
        (Identity("t", "ana"), "subj:ana"),
        (Identity(None, "ana"), "subj:ana"),
        (Identity("t", None), None),
        (Identity("token"), "tok:3c469e9d6c5875d37a43f353d4f88e61"),
    ],
    ids=["nothing known", "subject", "cookie subject", "known nobody", "token only"],
)
def test_fingerprint_of_what_is_known_follows_the_subject_first(identity, fingerprint):
    """The subject counts before the token's digest; a known nobody has none."""
    assert identity.fingerprint == fingerprint


def test_identity_in_a_traceback_shows_no_token():
    """Neither ``repr`` nor the digest holds the token."""
    identity = Identity("canary", "ana")
    assert "canary" not in repr(identity)
    assert "canary" not in str(identity.credential)
    assert repr(Identity()) == "<Identity subject=UNDEFINED no token>"


@pytest.mark.parametrize(
    ("before", "token", "subject", "change"),
    [
        (ANA, "token-a", KEEP, IdentityChange.NOTHING),
        (ANA, "token-a", "ana", IdentityChange.NOTHING),
        (Identity("token-a"), "token-a", "ana", IdentityChange.SUBJECT_LEARNED),
        (ANA, "token-b", "ana", IdentityChange.TOKEN_ROTATED),
        (ANA, "token-b", KEEP, IdentityChange.AWAITS_CONFIRMATION),
        (ANA, "token-b", "bo", IdentityChange.DIFFERENT),
        (Identity("token-a"), "token-b", KEEP, IdentityChange.DIFFERENT),
        (ANA, None, KEEP, IdentityChange.DIFFERENT),
        (ANA, "token-a", None, IdentityChange.DIFFERENT),
        (Identity(), "token-a", KEEP, IdentityChange.SIGNED_IN),
        (Identity(None, None), "token-a", "ana", IdentityChange.SIGNED_IN),
        (Identity(None, None), None, None, IdentityChange.NOTHING),
    ],
)
def test_change_of_token_means_what_the_table_says(before, token, subject, change):
    """Each row of the protocol's table, and the changes that are none."""
    assert change_token(before, token, subject)[1] is change


def test_change_of_token_without_a_subject_holds_until_it_is_confirmed():
    """The subject stays, but belongs to the token it was asserted with; an answer confirms it."""
    waiting, _ = change_token(ANA, "token-b")
    assert (waiting.subject, waiting.is_confirmed) == ("ana", False)
    confirmed, change = learn_subject(waiting, "ana")
    assert confirmed.is_confirmed
    assert change is IdentityChange.TOKEN_ROTATED


def test_change_of_token_over_a_known_nobody_forgets_the_nobody():
    """A token that arrives on a known nobody makes the subject unknown again."""
    after, _ = change_token(Identity(None, None), "token-a")
    assert after.subject is UNDEFINED


def test_sign_out_clears_the_subject_with_the_token():
    """Nobody is signed in afterwards, and nothing awaits confirmation."""
    after, _ = change_token(ANA, None)
    assert after.fingerprint is None
    assert after.is_confirmed


def test_answer_of_a_probe_about_somebody_else_is_another_identity():
    """The cookie or token turns out to be another user's."""
    assert learn_subject(ANA, "bo")[1] is IdentityChange.DIFFERENT


def test_answer_of_a_probe_ends_the_resolving():
    """A null identity is unresolved only while an answer may come."""
    resolving = Identity(is_resolving=True)
    assert resolving.is_unresolved
    assert not learn_subject(resolving, None)[0].is_unresolved


@pytest.mark.parametrize(
    ("stamp", "identity", "verdict"),
    [
        (UNDEFINED, Identity("t", "bo"), Gate.SEND),
        ("subj:ana", change_token(ANA, "token-b")[0], Gate.HOLD),
        ("subj:ana", Identity(is_resolving=True), Gate.HOLD),
        (None, Identity(is_resolving=True), Gate.HOLD),
        ("subj:ana", ANA, Gate.SEND),
        (Identity("token-a").fingerprint, ANA, Gate.SEND),
        (None, Identity(), Gate.SEND),
        ("subj:ana", Identity(), Gate.HOLD),
        ("subj:bo", ANA, Gate.REJECT),
        (None, ANA, Gate.REJECT),
    ],
)
def test_gate_for_a_stamp_decides_by_the_first_rule_that_fits(stamp, identity, verdict):
    """A write of one user is never sent as another; what is uncertain waits."""
    assert gate(stamp, identity) is verdict


def test_keep_shows_its_name():
    """The default of an argument is readable in a signature."""
    assert repr(KEEP) == "KEEP"


def test_identity_is_like_another_but_for_what_is_being_found_out():
    """A question under way changes nothing about who is signed in."""
    assert ANA.is_like(Identity("token-a", "ana", is_resolving=True))
    assert not ANA.is_like(Identity("token-b", "ana"))
    assert not ANA.is_like(Identity("token-a", "ana", is_confirmed=False))
    assert not Identity().is_like(Identity(None, None))


def test_somebody_who_is_asked_about_is_no_unresolved_nobody():
    """Only where nobody is known to be signed in, an answer may still say who it is."""
    assert not Identity("token-a", is_resolving=True).is_unresolved
    assert Identity("token-a", None, is_resolving=True).is_unresolved
    assert not Identity().is_unresolved


@pytest.mark.parametrize(
    ("before", "subject", "change"),
    [
        (Identity(), "ana", IdentityChange.SIGNED_IN),
        (Identity(), None, IdentityChange.NOTHING),
        (Identity(None, None), "ana", IdentityChange.SIGNED_IN),
        (Identity("token-a"), "ana", IdentityChange.SUBJECT_LEARNED),
        (Identity("token-a"), None, IdentityChange.DIFFERENT),
        (ANA, "ana", IdentityChange.NOTHING),
        (ANA, None, IdentityChange.DIFFERENT),
        (Identity("token-b", "ana", is_confirmed=False), None, IdentityChange.DIFFERENT),
    ],
)
def test_answer_about_the_present_token_or_cookie_is_a_change_of_the_table(before, subject, change):
    """The probe and the identity frame are judged like a change that the application makes."""
    after, learned = learn_subject(before, subject)
    assert (learned, after.token, after.subject, after.is_confirmed) == (change, before.token, subject, True)
