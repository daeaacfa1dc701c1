"""Rates in the database: any subject fits, no row names one, and what bounds nothing any more goes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import Settings

from accounts import rate_limits
from accounts.auth.client_ip import client_subnet
from accounts.models import CacheEntry, RateLimit
from accounts.rate_limits import Bound, TooFastError
from accounts.tests.kept import everything_kept
from accounts.tests.statements import assert_statements

pytestmark = pytest.mark.both_databases

LONGEST = "guesses:" + "2001:0db8:ffff:ffff:ffff:ffff:ffff:ffff/128%" + "e" * 200


def test_a_subject_may_be_long(db: None) -> None:
    bound = Bound(LONGEST, 2)
    rate_limits.take(bound)
    rate_limits.take(bound)
    with pytest.raises(TooFastError):
        rate_limits.take(bound)
    with pytest.raises(TooFastError):
        rate_limits.check([bound])
    assert rate_limits.remaining(bound)[0] == 0


def test_a_call_that_one_bound_refuses_counts_for_none(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = rate_limits._now()
    monkeypatch.setattr(rate_limits, "_now", lambda: now)
    first, tight, last = Bound("first", 5), Bound("tight", 1), Bound("last", 5)
    rate_limits.take(first, tight, last)
    for _ in range(3):
        with pytest.raises(TooFastError) as caught:
            rate_limits.take(first, tight, last)
        assert (caught.value.subject, caught.value.retry_after) == ("tight", 60)
    assert [rate_limits.remaining(bound)[0] for bound in (first, tight, last)] == [4, 0, 4]


def test_what_a_team_refuses_is_not_counted_for_its_keys(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many calls, by however many keys, come at once."""
    now = rate_limits._now()
    monkeypatch.setattr(rate_limits, "_now", lambda: now)
    team, keys = Bound("team", 10), [Bound(f"key:{n}", 100) for n in range(4)]

    def ask(number: int) -> bool:
        try:
            rate_limits.take(keys[number % len(keys)], team)
        except TooFastError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(40))) == 10
    assert sum(100 - rate_limits.remaining(key)[0] for key in keys) == 10


def test_a_call_is_counted_in_one_statement(db: None) -> None:
    for _ in range(2):  # into new rows, and into those that are there
        with assert_statements(1):
            rate_limits.take(Bound("key:1", 5), Bound("team:1", 5))
    with assert_statements(0):
        rate_limits.take(Bound("key:1", 0), Bound("team:1", 0))


def test_no_row_names_a_subject(db: None, settings: Settings) -> None:
    """Not even by a hash that can be made from every address in turn without SECRET_KEY."""
    rate_limits.take(Bound("guesses:203.0.113.7", 2))
    cache.set("allauth:rl:password:ip:203.0.113.7", [1.0], 300)
    assert "203.0.113.7" not in everything_kept()
    row = RateLimit.objects.get().subject
    settings.SECRET_KEY = "another one"
    assert row != Bound("guesses:203.0.113.7", 2).row


def test_what_bounds_nothing_any_more_is_purged(db: None) -> None:
    busy, idle = Bound("busy", 2), Bound("idle", 2)
    for bound in (busy, busy, idle):
        rate_limits.take(bound)
    cache.set("remembered", 1, 300)
    cache.set("forgotten", 1, 300)
    RateLimit.objects.filter(subject=idle.row).update(paid_off_at=1)
    forgotten = CacheEntry.objects.filter(cache_key=rate_limits.cache_key("forgotten", "", 1))
    assert forgotten.update(expires=timezone.now() - timedelta(seconds=1)) == 1
    assert rate_limits.purge() == 2
    assert list(RateLimit.objects.values_list("subject", flat=True)) == [busy.row]
    assert (cache.get("remembered"), cache.get("forgotten")) == (1, None)
    with pytest.raises(TooFastError):
        rate_limits.take(busy)
    assert rate_limits.remaining(idle)[0] == 2


def subnet(peer: str) -> str:
    return client_subnet(RequestFactory().get("/", REMOTE_ADDR=peer))


@pytest.mark.parametrize(
    ("peer", "counted_by"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("64:ff9b::203.0.113.7", "203.0.113.7"),  # one translator isn't one guesser
        ("2002:cb00:7107:1::1", "203.0.113.7"),  # 6to4: a /48 for each IPv4 address
        ("2002:cb00:7107:ffff::1", "203.0.113.7"),
        ("2001:0:4136:e378:8000:63bf:34ff:8ef8", "203.0.113.7"),  # Teredo: one /64 for all of a server's
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::1%" + "x" * 100, "fe80::/64"),
        ("", ""),
    ],
)
def test_what_a_guesser_is_counted_by(peer: str, counted_by: str) -> None:
    assert subnet(peer) == counted_by
