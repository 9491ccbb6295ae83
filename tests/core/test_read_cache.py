"""What the read cache shows, to whom, and what it writes; in the end, any sequence against a naive model."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lunora_rx.core.identity import Identity
from lunora_rx.core.read_cache import ENTRY_LIMIT, WRITE_DELAY, FreshRead, ReadCache, Stamp, matches
from lunora_rx.core.records import CachedRead
from lunora_rx.core.results import Result
from lunora_rx.errors import CodecError
from lunora_rx.protocol.frozen import replace
from lunora_rx.protocol.values import UNDEFINED, WireBigInt
from lunora_rx.protocol.wire import TAG

NOBODY = Identity()
UNRESOLVED = Identity(is_resolving=True)
ANN = Identity(token="token of ann", subject="ann")
ANN_LATER = Identity(token="another token of ann", subject="ann")
ANN_UNCONFIRMED = Identity(token="another token of ann", subject="ann", is_confirmed=False)
ANN_UNNAMED = Identity(token="token of ann")
BOB = Identity(token="token of bob", subject="bob")
EVERYONE = [NOBODY, UNRESOLVED, ANN, ANN_LATER, ANN_UNCONFIRMED, ANN_UNNAMED, BOB]


def entry(key: str = "k", identity: str | None = None, **fields: Any) -> CachedRead:
    """Return an entry as the store would hold it."""
    return CachedRead(key=key, value=["stored"], identity=identity, **fields)


def answered(base: Any, cursor: int | None = None, epoch: str | None = None) -> Result:
    """Return what the server said about a query."""
    result = Result()
    result.base, result.cursor, result.epoch = base, cursor, epoch
    return result


def stamp_of(identity: Identity) -> Stamp:
    """Return the stamp of a socket that opens while somebody is signed in."""
    return Stamp(identity.fingerprint)


def loaded(*entries: CachedRead) -> ReadCache:
    """Return a cache that has loaded these entries."""
    cache = ReadCache()
    cache.load(entries)
    return cache


def keys(reads: list[FreshRead]) -> list[str]:
    """Return the keys of what is to be written."""
    return [read.key for read in reads]


@pytest.mark.parametrize(
    ("stored", "identity", "expected"),
    [
        (entry(identity="subj:ann"), ANN, True),
        (entry(identity="subj:ann"), BOB, False),
        (entry(identity="subj:ann"), NOBODY, False),
        (entry(identity="subj:ann"), ANN_LATER, True),
        (entry(identity="subj:ann"), ANN_UNCONFIRMED, False),
        (entry(identity="subj:ann", credential=ANN_UNCONFIRMED.credential), ANN_UNCONFIRMED, True),
        (entry(identity="subj:ann", credential=ANN.credential), ANN_UNCONFIRMED, False),
        (entry(identity="subj:ann", credential=ANN.credential), ANN_UNNAMED, True),
        (entry(identity=ANN.credential), ANN, True),
        (entry(identity=ANN.credential), ANN_UNNAMED, True),
        (entry(identity=ANN.credential), ANN_LATER, False),
        (entry(identity=None), NOBODY, True),
        (entry(identity=None), ANN, False),
        (entry(identity=None), UNRESOLVED, False),
        (entry(identity=None), replace(ANN, subject=None), True),
        (entry(identity=ANN.credential), replace(ANN, subject=None, is_resolving=True), False),
    ],
)
def test_entry_matches_by_subject_or_by_token(stored: CachedRead, identity: Identity, expected: bool):
    """A subject that awaits confirmation is no proof, the token that delivered is, an open question sees nothing."""
    assert matches(stored, identity) is expected


def test_nobody_matches_no_entry_by_the_token_it_does_not_have():
    """Two absent credentials are not equal credentials."""
    assert not matches(entry(identity="subj:ann", credential=None), NOBODY)
    assert not matches(entry(identity="subj:ann", credential=None), replace(NOBODY, is_confirmed=False))
    assert not matches(entry(identity=None), replace(NOBODY, is_confirmed=False))


def test_seed_is_taken_once():
    """Who has it holds it: the cache gives it to nobody else."""
    stored = entry(identity="subj:ann", cursor=3)
    cache = loaded(stored)
    assert cache.take_seed("other", ANN) is None
    assert cache.take_seed("k", ANN) is stored
    assert cache.take_seed("k", ANN) is None


def test_entry_of_somebody_else_is_held_until_its_owner_asks():
    """One that does not match is not destroyed."""
    stored = entry(identity="subj:ann")
    cache = loaded(stored)
    assert [cache.take_seed("k", identity) for identity in (BOB, NOBODY, ANN_UNCONFIRMED)] == [None, None, None]
    assert cache.take_seed("k", ANN) is stored


def test_seed_that_was_given_back_is_lent_again():
    """Its value is still the last known."""
    stored = entry()
    cache = loaded(stored)
    cache.take_seed("k", NOBODY)
    cache.give_back("k")
    assert cache.take_seed("k", NOBODY) is stored


def test_giving_back_what_was_not_lent_does_nothing():
    """Every query that ends is given back, seeded or not."""
    cache = loaded(entry())
    cache.give_back("other")
    cache.give_back("k")
    assert cache.take_seed("other", NOBODY) is None
    assert cache.take_seed("k", NOBODY) is not None


def test_seed_that_was_superseded_does_not_come_back():
    """The server gave the key since."""
    cache = loaded(entry())
    cache.take_seed("k", NOBODY)
    cache.note("k", answered(1), stamp_of(NOBODY))
    cache.give_back("k")
    assert cache.take_seed("k", NOBODY) is None


def test_frame_drops_the_held_entry_of_its_key_only():
    """Live always wins, also when what was live is written and nobody asks for it any more."""
    cache = loaded(entry("k"), entry("other"))
    cache.note("k", answered(1), stamp_of(NOBODY))
    cache.flush(NOBODY)
    assert cache.take_seed("k", NOBODY) is None
    assert cache.take_seed("other", NOBODY) is not None


def test_load_holds_nothing_that_the_server_gave_before():
    """Not what waits to be written, and not what was written already."""
    cache = ReadCache()
    cache.note("written", answered(1), stamp_of(NOBODY))
    cache.flush(NOBODY)
    cache.note("dirty", answered(1), stamp_of(NOBODY))
    cache.load([entry("written"), entry("dirty"), entry("free")])
    taken = {key: cache.take_seed(key, NOBODY) is not None for key in ("written", "dirty", "free")}
    assert taken == {"written": False, "dirty": False, "free": True}


def test_load_returns_the_keys_of_stale_entries():
    """No version is another version than the configured one."""
    cache = ReadCache(version="2")
    stale = cache.load([entry("new", version="2"), entry("old", version="1"), entry("none")])
    assert stale == ["old", "none"]
    taken = [key for key in ("new", "old", "none") if cache.take_seed(key, NOBODY)]
    assert taken == ["new"]


def test_nothing_is_stale_without_a_version():
    """An application that names none can read whatever is there."""
    cache = ReadCache()
    assert cache.load([entry("old", version="1"), entry("none")]) == []
    assert cache.take_seed("old", NOBODY) is not None


def test_stale_entry_that_may_have_been_written_over_is_not_purged():
    """The store is read before the value is written, and would be purged after."""
    cache = ReadCache(version="2")
    cache.note("k", answered(1), stamp_of(NOBODY))
    assert keys(cache.flush(NOBODY)) == ["k"]
    assert cache.load([entry("k", version="1"), entry("other", version="1")]) == ["other"]


def test_only_the_first_load_counts():
    """What was delivered after it is not remembered, so a later one could not tell."""
    cache = ReadCache(version="2")
    cache.load([])
    assert cache.load([entry("k", version="2"), entry("old")]) == []
    assert cache.take_seed("k", NOBODY) is None


def test_load_holds_no_more_than_the_store_would():
    """The least recently stored are left out; stale ones take nobody's place."""
    cache = ReadCache(version="2", limit=2)
    times = {"c": 3.0, "a": 1.0, "b": 2.0}
    entries = [entry(key, stored_at=at, version="2") for key, at in times.items()]
    assert cache.load([*entries, entry("stale", stored_at=9.0)]) == ["stale"]
    assert [key for key in "abc" if cache.take_seed(key, NOBODY)] == ["b", "c"]


def test_seeds_are_revoked_while_their_subject_awaits_confirmation():
    """They leave the screen, and are there again once it is confirmed."""
    cache = loaded(entry("ours", identity="subj:ann"), entry("by token", identity=ANN_UNCONFIRMED.credential))
    for key in ("ours", "by token"):
        assert cache.take_seed(key, ANN_LATER) is not None
    assert cache.revoke_seeds(ANN_UNCONFIRMED) == ["ours"]
    assert cache.take_seed("ours", ANN_UNCONFIRMED) is None
    assert cache.take_seed("ours", ANN_LATER) is not None
    assert cache.take_seed("by token", ANN_LATER) is None


def test_first_note_asks_for_a_deadline_and_later_ones_do_not_move_it():
    """A query that changes all the time is written all the same."""
    cache = ReadCache()
    assert (cache.deadline, cache.is_unarmed) == (inf, False)
    cache.note("k", answered(1), stamp_of(NOBODY))
    assert cache.is_unarmed
    cache.arm(10.0)
    cache.note("k", answered(2), stamp_of(NOBODY))
    cache.note("other", answered(3), stamp_of(NOBODY))
    assert not cache.is_unarmed
    cache.arm(10.2)
    assert cache.deadline == 10.0 + WRITE_DELAY


def test_deadline_writes_the_latest_of_each_key_and_is_gone():
    """What was noted meanwhile is gathered."""
    cache = ReadCache(version="2", delay=1.0)
    cache.note("k", answered("old"), stamp_of(BOB))
    cache.arm(0.0)
    cache.note("other", answered(None), stamp_of(NOBODY))
    cache.note("k", answered("new", 7, "e"), stamp_of(NOBODY))
    assert cache.handle_deadline(0.9, NOBODY) == []
    assert cache.handle_deadline(1.0, NOBODY) == [
        FreshRead("k", "new", None, cursor=7, epoch="e", version="2"),
        FreshRead("other", None, None, version="2"),
    ]
    assert (cache.deadline, cache.handle_deadline(9.0, NOBODY)) == (inf, [])
    cache.note("k", answered("newer"), stamp_of(NOBODY))
    assert cache.is_unarmed


def test_result_is_read_when_it_is_written():
    """A hundred frames cost one entry."""
    cache, result = ReadCache(), answered(1, 1)
    cache.note("k", result, stamp_of(NOBODY))
    result.base, result.cursor = 2, 2
    assert cache.flush(NOBODY) == [FreshRead("k", 2, None, cursor=2)]


def test_base_that_is_gone_is_not_written():
    """It was evicted after it was noted."""
    cache, result = ReadCache(), answered(1)
    cache.note("k", result, stamp_of(NOBODY))
    result.base = UNDEFINED
    assert cache.flush(NOBODY) == []


def test_flush_disarms():
    """Nothing is left to be due."""
    cache = ReadCache()
    cache.note("k", answered(1), stamp_of(NOBODY))
    assert keys(cache.flush(NOBODY)) == ["k"]
    cache.arm(5.0)
    assert (cache.deadline, cache.flush(NOBODY)) == (inf, [])


def test_nothing_is_written_while_the_identity_is_unresolved():
    """It waits without a deadline, which could only come again and again."""
    cache = ReadCache()
    cache.note("k", answered(1), stamp_of(UNRESOLVED))
    cache.arm(0.0)
    assert cache.handle_deadline(1.0, UNRESOLVED) == []
    cache.note("other", answered(2), stamp_of(UNRESOLVED))
    assert (cache.deadline, cache.is_unarmed) == (inf, False)
    cache.identity_settled(5.0)
    assert cache.deadline == 5.0
    assert keys(cache.handle_deadline(5.0, NOBODY)) == ["k", "other"]


def test_settled_identity_hastens_nothing():
    """What has a deadline keeps it, and nothing needs none."""
    cache = ReadCache()
    cache.identity_settled(5.0)
    assert cache.deadline == inf
    cache.note("k", answered(1), stamp_of(NOBODY))
    cache.arm(6.0)
    cache.identity_settled(6.1)
    assert cache.deadline == 6.0 + WRITE_DELAY


def test_settled_identity_takes_over_what_has_no_deadline_yet():
    """One question, one deadline."""
    cache = ReadCache()
    cache.note("k", answered(1), stamp_of(NOBODY))
    cache.identity_settled(6.0)
    cache.arm(7.0)
    assert (cache.deadline, cache.is_unarmed) == (6.0, False)


@pytest.mark.parametrize(
    ("stamped", "identity", "written"),
    [
        ("subj:ann", ANN, ("subj:ann", ANN.credential)),
        ("subj:ann", ANN_UNCONFIRMED, ("subj:ann", None)),
        (ANN.credential, ANN, (ANN.credential, None)),
        (ANN.credential, ANN_UNNAMED, (ANN.credential, None)),
        (None, ANN, (None, None)),
        (None, NOBODY, (None, None)),
        (None, replace(ANN, subject=None), (None, None)),
    ],
)
def test_value_is_written_under_the_stamp_of_its_socket(stamped: Any, identity: Identity, written: tuple[Any, Any]):
    """The credential is added for the live, confirmed subject only."""
    cache = ReadCache()
    cache.note("k", answered(1), Stamp(stamped))
    (read,) = cache.flush(identity)
    assert (read.identity, read.credential) == written


@pytest.mark.parametrize("identity", [BOB, NOBODY, ANN_LATER])
def test_value_of_a_replaced_identity_is_never_written(identity: Identity):
    """A frame of a retired socket may still be under way; nothing is kept of it either."""
    cache = ReadCache()
    stale = ANN.credential if identity is ANN_LATER else ANN.fingerprint
    cache.note("k", answered(1), Stamp(stale))
    assert cache.flush(identity) == []
    assert cache.flush(ANN) == []


def test_stamp_that_moves_moves_what_its_socket_delivered():
    """The subject of the same token was learned in between."""
    cache, stamp = ReadCache(), Stamp(ANN_UNNAMED.fingerprint)
    cache.note("k", answered(1), stamp)
    stamp.fingerprint = ANN.fingerprint
    (read,) = cache.flush(ANN)
    assert (read.identity, read.credential) == ("subj:ann", ANN.credential)


def test_forgetting_leaves_nothing_to_show_or_to_write():
    """Not even what is lent, what is loaded later, or a deadline."""
    cache = loaded(entry("held", "subj:ann"), entry("lent", "subj:ann"))
    cache.take_seed("lent", ANN)
    cache.note("dirty", answered(1), stamp_of(ANN))
    cache.arm(0.0)
    cache.forget_all()
    cache.give_back("lent")
    assert [cache.take_seed(key, ANN) for key in ("held", "lent")] == [None, None]
    assert (cache.deadline, cache.flush(ANN)) == (inf, [])
    cache.note("new", answered(2), stamp_of(BOB))
    assert cache.is_unarmed
    cache.forget_all()
    assert not cache.is_unarmed


def test_load_that_lands_after_forgetting_is_ignored():
    """It was read before the store was emptied."""
    cache = ReadCache(version="2")
    cache.forget_all()
    assert cache.load([entry("k", "subj:ann", version="2"), entry("stale")]) == []
    assert cache.take_seed("k", ANN) is None


def test_no_more_values_wait_than_the_store_would_keep():
    """An identity may stay unresolved for good."""
    cache = ReadCache(limit=2)
    for key in ("a", "b", "a", "c"):
        cache.note(key, answered(1), stamp_of(NOBODY))
    assert keys(cache.flush(NOBODY)) == ["b", "c"]


def test_limit_is_that_of_the_store():
    """The protocol names the number."""
    assert ENTRY_LIMIT == 500


def test_fresh_read_is_encoded_with_the_time_it_is_stored_at():
    """Its value takes wire form on the thread of the store."""
    read = FreshRead("k", [WireBigInt(1)], "subj:ann", "tok:1", 7, "e", "2")
    tree = [[TAG, "bigint", "1"]]
    assert read.encoded(12.5) == CachedRead("k", tree, "subj:ann", "tok:1", 7, "e", 12.5, "2")


def test_fresh_read_without_a_wire_form_is_refused():
    """A server's lone surrogate can be read, but not sent or stored."""
    with pytest.raises(CodecError):
        FreshRead("k", "\ud800", None).encoded(0.0)


KEYS = st.sampled_from("abc")
IDENTITIES = st.sampled_from(EVERYONE)
DELAY = 1.0


def may_see(identity: Identity, stored: CachedRead) -> bool:
    """Return whether an entry is somebody's, said in sets."""
    if identity.is_unresolved:
        return False
    digests = {identity.credential} - {None}
    names = digests | ({identity.fingerprint} if identity.is_confirmed else set())
    return stored.identity in names or stored.credential in digests


class CacheMachine(RuleBasedStateMachine):
    """Any sequence of what can happen, against a model of plain dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = ReadCache(delay=DELAY)
        self.identity = NOBODY
        self.now = 0.0
        self.due_at = inf
        self.number = 0
        self.is_loaded = False
        self.delivered: set[str] = set()
        self.held: dict[str, CachedRead] = {}
        self.lent: dict[str, CachedRead] = {}
        self.noted: dict[str, tuple[int, Stamp]] = {}

    @rule(keys=st.sets(KEYS), stamps=st.tuples(IDENTITIES, IDENTITIES, IDENTITIES), prover=IDENTITIES)
    def load(self, keys: set[str], stamps: tuple[Identity, ...], prover: Identity) -> None:
        entries = [
            CachedRead(key, "stored", stamp.fingerprint, prover.credential)
            for key, stamp in zip("abc", stamps, strict=True)
            if key in keys
        ]
        assert self.cache.load(entries) == []
        if not self.is_loaded:
            self.held = {each.key: each for each in entries if each.key not in self.delivered}
        self.is_loaded = True

    @rule(key=KEYS, identity=IDENTITIES)
    def deliver(self, key: str, identity: Identity) -> None:
        self.number += 1
        stamp = Stamp(identity.fingerprint)
        self.cache.note(key, answered(self.number, self.number), stamp)
        self.cache.arm(self.now)
        self.due_at = self.due_at if self.noted else self.now + DELAY
        self.noted[key] = (self.number, stamp)
        self.delivered.add(key)
        self.held.pop(key, None)
        self.lent.pop(key, None)

    @rule(key=KEYS)
    def take(self, key: str) -> None:
        seed, expected = self.cache.take_seed(key, self.identity), self.held.get(key)
        if expected is None or not may_see(self.identity, expected):
            assert seed is None
            return
        assert seed is expected
        self.lent[key] = self.held.pop(key)

    @rule(key=KEYS)
    def give_back(self, key: str) -> None:
        self.cache.give_back(key)
        if key in self.lent:
            self.held[key] = self.lent.pop(key)

    @rule(identity=IDENTITIES)
    def know_better_who_it_is(self, identity: Identity) -> None:
        self.identity = identity
        revoked = self.cache.revoke_seeds(identity)
        assert sorted(revoked) == sorted(key for key in self.lent if not may_see(identity, self.lent[key]))
        self.held.update({key: self.lent.pop(key) for key in revoked})
        if not identity.is_unresolved:
            self.cache.identity_settled(self.now)
            self.due_at = self.now if self.noted and self.due_at == inf else self.due_at

    @rule(identity=IDENTITIES)
    def be_somebody_else(self, identity: Identity) -> None:
        self.identity = identity
        self.cache.forget_all()
        self.held, self.lent, self.noted = {}, {}, {}
        self.due_at, self.is_loaded = inf, True

    @precondition(lambda self: self.noted)
    @rule(data=st.data(), identity=IDENTITIES)
    def learn_whose_socket_it_was(self, data: st.DataObject, identity: Identity) -> None:
        key = data.draw(st.sampled_from(sorted(self.noted)))
        self.noted[key][1].fingerprint = identity.fingerprint

    @rule(seconds=st.sampled_from([0.3, DELAY]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        reads = self.cache.handle_deadline(self.now, self.identity)
        if self.now < self.due_at:
            assert reads == []
        else:
            self.check(reads)

    @rule()
    def flush(self) -> None:
        self.check(self.cache.flush(self.identity))

    @invariant()
    def everything_noted_has_the_deadline_of_the_first(self) -> None:
        assert (self.cache.deadline, self.cache.is_unarmed) == (self.due_at, False)

    def check(self, reads: list[FreshRead]) -> None:
        """Compare what is to be written with what was noted since the last time."""
        self.due_at = inf
        if self.identity.is_unresolved:
            assert reads == []
            return
        noted, self.noted = self.noted, {}
        names = {None, self.identity.fingerprint, self.identity.credential}
        written = {read.key: (read.value, read.cursor, read.identity) for read in reads}
        assert written == {
            key: (number, number, stamp.fingerprint)
            for key, (number, stamp) in noted.items()
            if stamp.fingerprint in names
        }
        for read in reads:
            assert read.credential is None or read.identity == self.identity.fingerprint is not None


TestReadCacheAgainstTheModel = CacheMachine.TestCase
"""Nobody is shown what is not theirs, live always wins, and nothing that was noted is lost."""
