"""Who is signed in, what a change of token means, and which queued writes may be sent under it.

Source: ``docs/protocol.md``, sections "Auth, identity, session" and "One pass".
"""

from __future__ import annotations

import enum
from hashlib import sha256

from lunora_rx.protocol.frozen import frozen, replace
from lunora_rx.protocol.values import UNDEFINED, Undefined


class Keep(enum.Enum):
    """Says that an argument is to stay what it was."""

    KEEP = "KEEP"

    def __repr__(self) -> str:
        return "KEEP"


KEEP = Keep.KEEP


class IdentityChange(enum.Enum):
    """What a new token or subject means; the table of the protocol has a row for each."""

    NOTHING = "nothing"
    SUBJECT_LEARNED = "subject learned"
    TOKEN_ROTATED = "token rotated"  # noqa: S105 - a kind of change, not a token
    AWAITS_CONFIRMATION = "awaits confirmation"
    SIGNED_IN = "signed in"
    DIFFERENT = "different"


class Gate(enum.Enum):
    """Whether a queued write may go out now."""

    SEND = "send"
    HOLD = "hold"
    REJECT = "reject"


@frozen
class Identity:
    """Who is signed in, as far as is known.

    Attributes:
        token: The bearer, or ``None``.
        subject: The stable id of the user behind it; ``None`` for nobody, ``UNDEFINED`` if it is not known.
        is_confirmed: Whether ``subject`` was asserted for this very token.
        is_resolving: Whether an answer about who this is may still come.
    """

    token: str | None = None
    subject: str | Undefined | None = UNDEFINED
    is_confirmed: bool = True
    is_resolving: bool = False

    def __repr__(self) -> str:
        token = "no token" if self.token is None else "a token"
        return f"<Identity subject={self.subject!r} {token}>"

    @property
    def credential(self) -> str | None:
        """The token's one-way digest, which may be stored where the token may not."""
        if self.token is None:
            return None
        return f"tok:{sha256(self.token.encode()).hexdigest()[:32]}"

    @property
    def fingerprint(self) -> str | None:
        """What writes and cached reads are stamped with; ``None`` while nobody is signed in."""
        if self.subject is None:
            return None
        return self.credential if self.subject is UNDEFINED else f"subj:{self.subject}"

    @property
    def author(self) -> str | None:
        """What new writes are stamped with, and what sockets deliver: the token's, while nobody confirmed its user."""
        return self.fingerprint if self.is_confirmed else self.credential

    @property
    def is_unresolved(self) -> bool:
        """Whether nobody is known to be signed in only because nobody has said so yet."""
        return self.fingerprint is None and self.is_resolving

    def is_like(self, other: Identity) -> bool:
        """Whether both are the same, but for questions that are under way."""
        return replace(self, is_resolving=other.is_resolving) == other


def change_token(
    identity: Identity, token: str | None, subject: str | Keep | None = KEEP
) -> tuple[Identity, IdentityChange]:
    """Return the identity under another token, and what the change means.

    A subject that is not given stays, but belongs to the token it was asserted with: until it is
    confirmed, writes are held. It goes with the token, and a token makes a known nobody unknown.
    """
    if subject is KEEP and token == identity.token:
        return identity, IdentityChange.NOTHING
    if subject is not KEEP:
        after = replace(identity, token=token, subject=subject, is_confirmed=True)
        return after, _compare(identity, after)
    if token is None or not isinstance(identity.subject, str):
        after = replace(identity, token=token, subject=UNDEFINED, is_confirmed=True)
        return after, _compare(identity, after)
    return replace(identity, token=token, is_confirmed=False), IdentityChange.AWAITS_CONFIRMATION


def learn_subject(identity: Identity, subject: str | None) -> tuple[Identity, IdentityChange]:
    """Return the identity after an answer about who the present token or cookie belongs to."""
    after = replace(identity, subject=subject, is_confirmed=True, is_resolving=False)
    return after, _compare(identity, after)


def gate(stamp: str | Undefined | None, identity: Identity) -> Gate:
    """Tell whether a write with this stamp may be sent as this identity; the first rule that fits decides."""
    if stamp is UNDEFINED:
        return Gate.SEND
    if not identity.is_confirmed or identity.is_unresolved:
        return Gate.HOLD
    if stamp == identity.fingerprint or (stamp is not None and stamp == identity.credential):
        return Gate.SEND
    return Gate.HOLD if identity.fingerprint is None else Gate.REJECT


def _compare(before: Identity, after: Identity) -> IdentityChange:
    if before.fingerprint == after.fingerprint:
        if not before.is_confirmed:
            return IdentityChange.TOKEN_ROTATED
        return IdentityChange.NOTHING if before.token == after.token else IdentityChange.TOKEN_ROTATED
    if before.fingerprint is None:
        return IdentityChange.SIGNED_IN
    is_same_token = before.token is not None and before.token == after.token
    if is_same_token and before.subject is UNDEFINED and isinstance(after.subject, str):
        return IdentityChange.SUBJECT_LEARNED
    return IdentityChange.DIFFERENT
