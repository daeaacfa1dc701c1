"""Periods are kept as rows: written with their closing balance, and computed again when something changes."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import AuditEntry
from conftest import World
from jobs.audit import balance_snapshots, purchases, review, verify
from jobs.audit.purchases import AlreadyEnteredError
from jobs.audit.reconcile import book, summary
from jobs.audit.reconcile.account import between as between_balances
from jobs.audit.reconcile.current_book import current_book
from jobs.audit.reconcile.periods import Outcome
from jobs.calls import accounts, attempts
from jobs.models import Attempt, BalancePeriod, BalanceSnapshot, Job, PeriodicTask, Purchase, UpstreamAccount
from jobs.models.balance_period import BalancePeriodQuerySet
from jobs.queue import claims
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, charged_in_silence, run
from jobs.worker import periodic
from jobs.worker.run import process
from pixian.client.backoff import Backoff

pytestmark = pytest.mark.both_databases

EARLIER = timedelta(minutes=15)
CALLS_OF_A_RUSH = 15


@pytest.fixture
def paid(world: World, server: Server, settings: Settings) -> Server:
    """An upstream with a true balance, which is the settings' account."""
    server.account_body = None
    settings.PIXIAN_EMBEDDED = False
    settings.PIXIAN_API_URL = server.url
    return server


def balance(server: Server) -> BalanceSnapshot:
    taken = balance_snapshots.take(server.upstream)
    assert taken
    return taken


def call(world: World, server: Server, *steps: wire.Step) -> Attempt:
    """Return the attempt of a new job that gets these responses."""
    job = world.job()
    for step in steps:
        server.script.append(step)
        run(server)
    return job.attempts.latest("number")


def let_time_pass() -> None:
    """Move calls and balances a quarter of an hour into the past, so that no call can be charged any more."""
    for attempt in Attempt.objects.exclude(sent_at=None):
        answered = attempt.answered_at and attempt.answered_at - EARLIER
        assert attempt.sent_at
        Attempt.objects.filter(pk=attempt.pk).update(sent_at=attempt.sent_at - EARLIER, answered_at=answered)
    for taken in BalanceSnapshot.objects.all():
        moved = {"asked_at": taken.asked_at - EARLIER, "came_at": taken.came_at - EARLIER}
        BalanceSnapshot.objects.filter(pk=taken.pk).update(**moved)


def period(**conditions: Any) -> BalancePeriod:
    """Return the only period that matches, computed as a page does."""
    row = BalancePeriod.objects.select_related("opening", "closing").get(**conditions)
    book.refresh_cheap([row])
    return row


def findings() -> list[str]:
    return [sentence for number, sentence in verify.run(quick=True).findings if number == 8]


def test_two_balances_make_a_period(world: World, paid: Server) -> None:
    first = balance(paid)
    assert not BalancePeriod.objects.exists()
    call(world, paid, wire.answer(charged="0.75"))
    second = balance(paid)
    row = period()
    assert (row.opening, row.closing, row.account_id) == (first, second, accounts.current_id())
    assert (row.calls, row.charged, row.booked, row.missing) == (1, 750_000, 750_000, 0)
    assert (row.expected, summary.judge(row).outcome) == (999_250_000, Outcome.AGREES)


def test_each_call_names_its_account_and_counts_in_its_book_alone(
    world: World, paid: Server, settings: Settings
) -> None:
    balance(paid)
    ours = call(world, paid, wire.answer())
    assert ours.account_id == accounts.current_id()
    settings.PIXIAN_API_ID = "another"
    balance(paid)
    call(world, paid, wire.answer())
    balance(paid)
    row = period(account=accounts.current_id())
    assert (row.calls, row.missing) == (1, 0)
    now = current_book()
    assert (now.account, now.before) == (UpstreamAccount.objects.of_settings(), ours.account)
    assert any("A new book begins" in sentence for sentence in now.says())


def test_calls_from_before_accounts_were_recorded_count_too(world: World, paid: Server) -> None:
    balance(paid)
    call(world, paid, wire.answer())
    Attempt.objects.update(account=None)
    balance(paid)
    assert period().calls == 1


def test_after_another_account_was_used_a_book_begins_anew(
    world: World, paid: Server, settings: Settings
) -> None:
    mine = settings.PIXIAN_API_ID
    balance(paid)
    settings.PIXIAN_API_ID = "another"
    balance(paid)
    settings.PIXIAN_API_ID = mine
    third = balance(paid)
    assert not BalancePeriod.objects.exists()
    fourth = balance(paid)
    row = period()
    assert (row.opening, row.closing) == (third, fourth)


def test_a_balance_that_was_asked_for_before_the_last_one_came_bounds_nothing(
    world: World, paid: Server
) -> None:
    now, account = timezone.now(), accounts.current_id()
    moments = [(0, 1), (10, 15), (9, 16), (20, 21)]
    taken = [
        book.close(account, now + timedelta(seconds=asked), now + timedelta(seconds=came), 1, {})
        for asked, came in moments
    ]
    pairs = BalancePeriod.objects.order_by("pk").values_list("opening", "closing")
    assert list(pairs) == [(taken[0].pk, taken[1].pk), (taken[1].pk, taken[3].pk)]


def test_calls_in_flight_are_counted_and_followed(world: World, paid: Server) -> None:
    balance(paid)
    world.job()
    job = claims.claim("test")
    assert job
    with claims.owned(job):
        attempts.send(job.last_attempt)
    balance(paid)
    row = period()
    assert (row.calls, row.flying_out, row.in_doubt, row.is_final) == (1, 1, 1, False)
    assert summary.judge(row).outcome == Outcome.POSSIBLE
    assert row.notable["flying_out"] == [job.last_attempt.pk]
    paid.script.append(wire.answer())
    Attempt.objects.update(state="prepared", sent_at=None)
    run(paid)
    let_time_pass()
    balance(paid)
    early = period(opening=BalanceSnapshot.objects.order_by("pk").first())
    assert (early.calls, early.is_final) == (0, True)  # it was sent again, and counts when it was
    assert findings() == []


def test_a_decision_is_computed_into_its_period(world: World, paid: Server) -> None:
    balance(paid)
    lost = call(world, paid, charged_in_silence("0.6"))
    let_time_pass()
    balance(paid)
    let_time_pass()
    row = period()
    assert (row.in_doubt, row.missing, row.is_final) == (1, 600_000, True)
    assert summary.judge(row).outcome == Outcome.PINNED
    review.resolve(lost, 600_000, world.alice, "asked")
    assert not BalancePeriod.objects.get().is_final
    row = period()
    assert (row.in_doubt, row.charged, row.booked, row.missing) == (0, 600_000, 600_000, 0)
    assert row.notable == {"decided": [lost.pk]}
    assert findings() == []


def test_a_late_answer_is_computed_into_its_period(world: World, paid: Server) -> None:
    balance(paid)
    world.job()
    job = claims.claim("test")
    assert job
    with claims.owned(job):
        attempts.send(job.last_attempt)
    sent = Attempt.objects.get()
    Attempt.objects.update(state="in_doubt", doubt="unanswered")
    let_time_pass()
    balance(paid)
    let_time_pass()
    assert period().is_final
    answer = wire_answer(paid)
    with claims.locked(Job.objects.get()):
        attempts.note_late_answer(sent, answer)
    assert not BalancePeriod.objects.get().is_final
    assert (period().in_doubt, period().charged) == (0, CREDIT)
    assert findings() == []


def wire_answer(server: Server) -> Any:
    """Return an answer's head, as the client read it."""

    class Head:
        status = 200
        headers = (("X-Credits-Charged", "1"),)

        def header(self, name: str) -> str | None:
            return dict(self.headers).get(name)

    assert server
    return Head()


def test_a_purchase_for_an_earlier_day_is_computed_into_its_period(world: World, paid: Server) -> None:
    balance(paid)
    let_time_pass()
    paid.journal.balance_microcredits += 50 * CREDIT
    balance(paid)
    let_time_pass()
    row = period()
    assert (row.missing, summary.judge(row).outcome) == (-50 * CREDIT, Outcome.PERSON)
    account = UpstreamAccount.objects.get()
    middle = row.opening.came_at + (row.closing.asked_at - row.opening.came_at) / 2
    token = uuid4()
    purchases.enter(account, middle, 50 * CREDIT, "a pack", world.alice, token)
    row = period()
    assert (row.purchased, row.missing) == (50 * CREDIT, 0)
    entry = AuditEntry.objects.get(action="purchase")
    assert (entry.reason, entry.after["credits"]) == ("a pack", "50")
    with pytest.raises(AlreadyEnteredError):
        purchases.enter(account, middle, 50 * CREDIT, "a pack", world.alice, token)
    assert Purchase.objects.count() == 1
    assert findings() == []


def test_a_change_that_outdates_no_period_is_found(
    world: World, paid: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a decision that forgets to say so."""
    balance(paid)
    lost = call(world, paid, charged_in_silence("0.6"))
    let_time_pass()
    balance(paid)
    let_time_pass()
    assert period().is_final
    monkeypatch.setattr(BalancePeriodQuerySet, "outdate", lambda *_: None)
    review.resolve(lost, 600_000, world.alice, "asked")
    assert any("has 0 as charged, and its calls say 600000" in sentence for sentence in findings())


def test_a_change_amid_the_computation_is_not_lost(
    world: World, paid: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    balance(paid)
    lost = call(world, paid, charged_in_silence("0.6"))
    let_time_pass()
    balance(paid)
    let_time_pass()
    read = between_balances

    def between(*balances: BalanceSnapshot) -> Any:
        found = read(*balances)
        review.resolve(lost, 600_000, world.alice, "asked")
        return found

    row = BalancePeriod.objects.select_related("opening", "closing").get()
    monkeypatch.setattr(book, "between", between)
    book.compute(row)
    assert (row.is_final, BalancePeriod.objects.get().is_final) == (False, False)
    monkeypatch.setattr(book, "between", read)
    assert (period().charged, period().is_final) == (600_000, True)


def test_a_busy_instance_is_asked_for_its_balance_after_ten_minutes(world: World, paid: Server) -> None:
    world.job()
    job = claims.claim("test")
    assert job
    with claims.owned(job):
        attempts.send(job.last_attempt)

    def due(since: timedelta) -> int:
        BalanceSnapshot.objects.update(came_at=timezone.now() - since)
        UpstreamAccount.objects.update(first_used_at=timezone.now() - since)
        PeriodicTask.objects.filter(name="balance").update(due_at=datetime.min.replace(year=2020, tzinfo=UTC))
        periodic.run_due(paid.upstream)
        return BalanceSnapshot.objects.count()

    assert due(timedelta(minutes=9)) == 0
    assert due(timedelta(minutes=11)) == 1
    assert due(timedelta(minutes=65)) == 1
    assert due(timedelta(minutes=71)) == 2


def test_a_site_that_is_never_quiet_gets_its_balances_amid_calls(
    committed_world: World, server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three threads call without a pause. Each period counts the calls under way; over all it is exact."""
    server.account_body, settings.PIXIAN_EMBEDDED, settings.PIXIAN_API_URL = None, False, server.url
    for name in ("EVERY", "PATIENCE"):
        monkeypatch.setattr(balance_snapshots, name, timedelta(0))
    server.otherwise = wire.after(lambda: time.sleep(0.2), wire.answer(charged="0.75"))
    for _ in range(CALLS_OF_A_RUSH):
        committed_world.job()
    balance(server)
    with ThreadPoolExecutor(3) as pool:
        rush = [pool.submit(run_all, server, f"rush{number}") for number in range(3)]
        while not all(each.done() for each in rush):
            if not balance_snapshots.is_quiet():
                assert not balance_snapshots.should_wait()
                balance(server)
            time.sleep(0.1)
        assert sum(each.result() for each in rush) == CALLS_OF_A_RUSH
    balance(server)
    rows = list(reversed(summary.rows_of(UpstreamAccount.objects.get())))
    assert sum(row.flying_out > 0 for row in rows) > 1
    assert {summary.judge(row).outcome for row in rows} <= {Outcome.AGREES, Outcome.POSSIBLE}
    spans = list(summary.spans(rows))
    assert spans
    assert {span.outcome for span in spans} == {Outcome.AGREES}
    assert sum(row.calls for row in rows) == CALLS_OF_A_RUSH


def run_all(server: Server, name: str) -> int:
    """Run jobs until there are no more; return how many."""
    try:
        count = 0
        while job := claims.claim(name):
            process(job, server.upstream, Backoff())
            count += 1
        return count
    finally:
        connection.close()


def test_what_is_due_to_a_quiet_balance_is_found_over_busy_ones(world: World, paid: Server) -> None:
    account, begin = accounts.current_id(), timezone.now() - timedelta(hours=5)

    def taken(hour: float, microcredits: int) -> BalanceSnapshot:
        moment = begin + timedelta(hours=hour)
        return book.close(account, moment, moment, microcredits, {})

    call(world, paid, wire.answer())
    amid = begin + timedelta(hours=1)
    Attempt.objects.update(sent_at=amid - timedelta(seconds=9), answered_at=amid + timedelta(seconds=9))
    for hour, left in enumerate((100 * CREDIT, 99_500_000, 98_800_000)):
        taken(hour, left)
    book.refresh(account)
    rows = list(reversed(summary.rows_of(UpstreamAccount.objects.get(pk=account))))
    assert [summary.judge(row).outcome for row in rows] == [Outcome.POSSIBLE, Outcome.POSSIBLE]
    assert book.span(rows[0]) == book.span(rows[1]) == rows
    (finding,) = summary.findings(rows)
    assert (finding.is_span, finding.figures.missing) == (True, 200_000)
    total = summary.total(rows)
    assert total.opening + total.purchased - total.charged - total.missing == total.closing
