"""Each invariant: a clean world passes, and a planted bug is found by its number."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from accounts.api_keys import keys
from accounts.ledger import allowances, triggers
from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.models import AllowanceUse, LedgerAccount, Membership, Team, Transfer, User
from conftest import World, hold_of, small_png
from jobs.audit import review, verify
from jobs.calls import accounts
from jobs.models import Attempt, BalanceSnapshot, Job, Price, Ramp, Verification
from jobs.queue import claims
from jobs.renditions import previews
from jobs.renditions.previews import Side, Size
from jobs.storage import files, instance, inventory, strays
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run
from jobs.tests.worker.test_worker import all_done, until, working

pytestmark = pytest.mark.both_databases

State = Attempt.State
HOURS_AGO = time.time() - 3 * 60 * 60
PICTURE = small_png()


def found(quick: bool = False) -> dict[int, list[str]]:
    """Return the findings by number."""
    by_number: dict[int, list[str]] = {}
    findings: list[tuple[int, str]] = verify.run(quick=quick).findings
    for number, sentence in findings:
        by_number.setdefault(number, []).append(sentence)
    return by_number


@pytest.fixture
def busy_world(world: World, server: Server) -> World:
    """Make one attempt of every kind, all consistent: the first job is done, the last not sent yet."""
    story: list[list[wire.Step]] = [
        [wire.answer(charged="0.75")],
        [wire.answer(charged="1.5")],
        [wire.answer(charged=None)],
        [wire.error(400, 1006, "no")],
        [wire.error(500, X_Credits_Charged="0.25"), wire.answer(charged="0")],
        [wire.no_answer],
        [wire.no_answer],
    ]
    for steps in story:
        world.job(PICTURE)
        for step in steps:
            server.script.append(step)
            run(server)
    decided = Attempt.objects.filter(state=State.IN_DOUBT).last()
    assert decided
    review.resolve(decided, 2 * CREDIT, world.alice, "asked")
    world.job()
    return world


def job() -> Job:
    """Return the first job: done, 0.75 charged, 1 held."""
    return Job.objects.order_by("pk")[0]


def attempt(state: str = State.BOOKED) -> Attempt:
    return Attempt.objects.filter(state=state).order_by("pk")[0]


def change(row: Any, **values: Any) -> None:
    type(row).objects.filter(pk=row.pk).update(**values)


def move(kind: str, amount: int, team: str = "Aurora") -> None:
    account = LedgerAccount.objects.get(team__name=team, kind=kind)
    change(account, balance_microcredits=account.balance_microcredits + amount)


def invent(**values: Any) -> None:
    """Make a transfer that ``accounts.ledger.operations`` would never write, with its balances."""
    available = account("available").balance_microcredits
    sign = (values["credit"] == account("available")) - (values["debit"] == account("available"))
    hold = values.get("hold")
    row = Transfer.objects.create(
        idempotency_key="invented",
        team=values["debit"].team,
        spender=hold.actor if hold else None,
        available_microcredits=available + sign * values["amount_microcredits"],
        **values,
    )
    for account_, sign in ((row.debit, -1), (row.credit, 1)):
        account_.refresh_from_db()
        change(account_, balance_microcredits=account_.balance_microcredits + sign * row.amount_microcredits)


def account(kind: str, team: str = "Aurora") -> LedgerAccount:
    return LedgerAccount.objects.get(team__name=team, kind=kind)


def across_teams() -> None:
    invent(
        debit=account("available"),
        credit=account("available", "Outsiders"),
        amount_microcredits=7,
        kind="grant",
    )


def against_its_kind() -> None:
    hold = attempt(State.PREPARED).hold
    invent(
        debit=account("spent"),
        credit=account("available"),
        amount_microcredits=7,
        kind="release",
        hold=hold,
        resolution="remainder",
    )


def balance_is_off() -> None:
    move("available", 1)


def two_balances_are_off() -> None:
    move("available", -5)
    move("spent", 5)


def ended_with_an_open_hold() -> None:
    change(attempt(State.PREPARED), state=State.RELEASED)


def open_with_an_ended_hold() -> None:
    ledger.release(hold_of(attempt(State.IN_DOUBT)))


def hold_without_an_attempt() -> None:
    ledger.hold(Team.objects.get(name="Aurora"), CREDIT, key="mine", reference="nobody")


def attempt_that_vanished() -> None:
    attempt(State.PREPARED).delete()


def two_headers_changed_places() -> None:
    """Swap two headers; the sums stay, so only checking each attempt finds it."""
    one, other = Attempt.objects.filter(state=State.BOOKED, charged_microcredits__in=[750_000, 1_500_000])
    change(one, charged_microcredits=other.charged_microcredits)
    change(other, charged_microcredits=one.charged_microcredits)


def booked_without_a_charge() -> None:
    change(attempt(), charged_microcredits=None)


def released_and_settled() -> None:
    """Settle a charge for an attempt that says it cost nothing."""
    change(attempt(), state=State.RELEASED, charged_microcredits=None)


def decision_lost() -> None:
    Attempt.objects.exclude(resolved_microcredits=None).update(resolved_microcredits=1)


def other_bytes() -> None:
    path = Path(job().result.path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def other_source() -> None:
    path = Path(job().source.path)
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def unreadable() -> None:
    path = Path(job().result.path)
    path.unlink()
    path.mkdir()  # which nobody can open as a file, however mighty


def other_hash() -> None:
    change(job(), result_sha256="0" * 64)


def result_deleted() -> None:
    Path(job().result.path).unlink()


def source_deleted() -> None:
    Path(job().source.path).unlink()


def stray_file() -> None:
    lay("aurora/somewhere/result-1.png")


def result_of_an_attempt_that_failed() -> None:
    failed = Job.objects.filter(state="failed").order_by("pk")[0]
    lay(str(Path(str(failed.source)).parent / "result-1.png"))


def preview_of_nothing() -> None:
    lay("aurora/somewhere/source.png.tile.webp")


def lay(name: str, modified: float = HOURS_AGO) -> None:
    stored_name = default_storage.save(name, ContentFile(b"?"))
    os.utime(default_storage.path(stored_name), (modified, modified))


def charged_and_given_back() -> None:
    change(attempt(State.RELEASED), charged_microcredits=5, charged_header="0.000005")


def snapshot(before: timedelta, microcredits: int) -> None:
    moment = timezone.now() - before
    BalanceSnapshot.objects.create(
        account_id=accounts.current_id(), asked_at=moment, came_at=moment, microcredits=microcredits
    )


def account_has_lost_more() -> None:
    snapshot(timedelta(hours=2), 900 * CREDIT)
    snapshot(timedelta(hours=1), 800 * CREDIT)


def account_has_lost_less() -> None:
    snapshot(timedelta(hours=2), 800 * CREDIT)
    snapshot(timedelta(hours=1), 900 * CREDIT)


def price_too_high() -> None:
    Price.objects.update(microcredits_per_megapixel=9 * CREDIT)


def price_too_low() -> None:
    Price.objects.update(microcredits_per_megapixel=1)


def price_gone() -> None:
    Price.objects.all().delete()


def allowance_miscounted() -> None:
    allowances.grant(Membership.objects.filter(team__name="Aurora")[0], limit=CREDIT, period="month")
    AllowanceUse.objects.update(used_microcredits=F("used_microcredits") + 1)


def falsify(kind: str, **values: Any) -> None:
    """Change the first transfer of a kind, past the database's guard."""
    triggers.unguard(connection)
    first = Transfer.objects.filter(team__name="Aurora", kind=kind).order_by("pk")[0]
    change(first, **values)
    triggers.guard(connection)


def running_balance_is_off() -> None:
    falsify("settle", available_microcredits=F("available_microcredits") + 1)


def listed_for_others() -> None:
    falsify("release", team=Team.objects.get(name="Outsiders"))


def spent_by_another() -> None:
    falsify("settle", spender=User.objects.get(email="bob@example.org"))


def spent_by_nobody() -> None:
    falsify("hold", spender=None)


def spent_with_a_key() -> None:
    bob = User.objects.get(email="bob@example.org")
    falsify("overage", api_key=keys.create(Team.objects.get(name="Aurora"), bob, "shop")[0])


def nobody_works() -> None:
    change(Job.objects.filter(state="queued")[0], run_after=timezone.now() - timedelta(minutes=6))
    Ramp.objects.update(claimed_at=timezone.now() - timedelta(minutes=6))


def left_behind() -> None:
    queued = Job.objects.filter(state="queued")[0]
    change(queued, state="running", lease_until=timezone.now() - timedelta(minutes=6))
    Ramp.objects.all().delete()


def sent_for_long() -> None:
    change(attempt(State.PREPARED), state=State.SENT, sent_at=timezone.now() - timedelta(minutes=11))


def ended_with_a_call_to_make() -> None:
    change(attempt(State.PREPARED).job, state="cancelled")


def waiting_for_nothing() -> None:
    change(job(), state="queued")


def stranded() -> None:
    change(attempt(State.PREPARED).job, state="paused")


PLANTED: list[tuple[Callable[[], None], set[int], str]] = [
    (across_teams, {1}, "is a grant of 0.000007 from Aurora: available to Outsiders: available"),
    (against_its_kind, {1}, "is a release of 0.000007 from Aurora: spent to Aurora: available"),
    (balance_is_off, {1, 2}, "All balances sum to 0.000001 instead of 0."),
    (two_balances_are_off, {2}, "The balance of Aurora: spent is"),
    (ended_with_an_open_hold, {3, 10}, "is released, and its hold is open"),
    (open_with_an_ended_hold, {3}, "is in_doubt, and its hold has ended"),
    (hold_without_an_attempt, {3}, "of 1 (nobody) is no attempt's"),
    (attempt_that_vanished, {3, 10}, "is no attempt's"),
    (
        two_headers_changed_places,
        {4},
        "is booked: 1.5 charged, held 1, settled 0.75, released 0.25, overage 0",
    ),
    (booked_without_a_charge, {4}, "is booked: no charge known, held 1, settled 0.75"),
    (released_and_settled, {4}, "is released: no charge known, held 1, settled 0.75"),
    (decision_lost, {4}, "is booked: 0.000001 charged, held 1.5, settled 1.5, released 0, overage 0.5"),
    (other_bytes, {5}, "isn't what came from the upstream"),
    (other_hash, {5}, "isn't what came from the upstream"),
    (other_source, {5}, "isn't what was uploaded"),
    (unreadable, {5}, "can't be read: Is a directory"),
    (result_deleted, {6}, "has lost its file aurora/"),
    (source_deleted, {6}, "has lost its file aurora/"),
    (stray_file, {6}, "No row names the file aurora/somewhere/result-1.png."),
    (result_of_an_attempt_that_failed, {6}, "No row names the file"),
    (preview_of_nothing, {6}, "No row names the file aurora/somewhere/source.png.tile.webp."),
    (charged_and_given_back, {7}, "was given back, and its header names 0.000005"),
    (account_has_lost_more, {7}, "100 is missing, and no attempt explains it"),
    (account_has_lost_less, {7}, "100 is there that nothing explains"),
    (price_too_high, {8}, "was learned as 9 a megapixel, and charged as 1.5"),
    (price_too_low, {8}, "was learned as 0.000001 a megapixel, and charged as 1.5"),
    (allowance_miscounted, {8}, "The allowance of alice@example.org in Aurora"),
    (running_balance_is_off, {8}, "leaves 99.000001 available, and all up to it add up to 99"),
    (listed_for_others, {8}, "and moved credits of team"),
    (spent_by_another, {8}, "names the spender"),
    (spent_by_nobody, {8}, "names the spender None instead of"),
    (spent_with_a_key, {8}, "instead of None"),
    (price_gone, {8}, "was learned as 0 a megapixel, and charged as 1.5"),
    (nobody_works, {9}, "has been due for more than 5 minutes"),
    (left_behind, {9}, "has been due for more than 5 minutes"),
    (sent_for_long, {10}, "has been sent for more than 10 minutes"),
    (ended_with_a_call_to_make, {10}, "is prepared, and its job is cancelled"),
    (waiting_for_nothing, {10}, "is queued, and has no call to make"),
    (stranded, {10}, "is paused, and its batch isn't"),
]


def test_a_world_in_order_passes(busy_world: World) -> None:
    states = set(Attempt.objects.values_list("state", flat=True))
    assert states == {State.BOOKED, State.RELEASED, State.IN_DOUBT, State.PREPARED}
    assert found() == {}
    assert Verification.objects.get().findings == []


def test_so_does_an_empty_one(db: None) -> None:
    assert found() == {}


def test_a_planted_bug_is_found_by_its_number(busy_world: World, settings: Settings, tmp_path: Path) -> None:
    """Each in the same world, which is put in order again after it."""
    in_order = shutil.copytree(settings.MEDIA_ROOT, tmp_path / "in order")
    for damage, numbers, sentence in PLANTED:
        name = damage.__name__
        with transaction.atomic():
            damage()
            findings = found()
            assert set(findings) == numbers, name
            assert any(sentence in said for said in findings[min(numbers)]), (name, findings)
            kept = Verification.objects.get().findings
            assert {number for number, _sentence in kept} == numbers, name
            transaction.set_rollback(True)
        shutil.rmtree(settings.MEDIA_ROOT)
        shutil.copytree(in_order, settings.MEDIA_ROOT)
    assert found() == {}


def test_every_invariant_has_a_planted_bug() -> None:
    assert set().union(*(numbers for _damage, numbers, _sentence in PLANTED)) == set(verify.INVARIANTS)
    assert sorted(verify.INVARIANTS) == list(range(1, 11))


def test_a_hold_that_ended_twice_is_found(committed_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of E8: a database that doesn't refuse it."""
    (once,) = [c for c in Transfer._meta.constraints if c.name == "transfer_resolves_once"]
    held = hold_of(committed_world.job().last_attempt)
    with connection.schema_editor() as editor, monkeypatch.context() as patch:
        patch.setattr(Transfer._meta, "constraints", [c for c in Transfer._meta.constraints if c != once])
        editor.remove_constraint(Transfer, once)
    try:
        for key in "ab":
            release = {"amount_microcredits": CREDIT, "kind": "release", "resolution": "close", "hold": held}
            sides = {"debit": held.credit, "credit": held.debit, "team": held.team}
            Transfer.objects.create(**sides, available_microcredits=0, idempotency_key=key, **release)
        assert f"Hold {held.pk} was ended 2 times: close." in found()[4]
    finally:
        triggers.unguard(connection)
        Transfer.objects.filter(idempotency_key="b").delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Transfer, once)
        triggers.guard(connection)


def test_quick_leaves_the_reading_of_results_out(busy_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    other_bytes()
    result_deleted_too = Job.objects.filter(state="done").order_by("pk")[1]
    Path(result_deleted_too.result.path).unlink()
    monkeypatch.setattr(files, "sha256", None)
    assert set(found(quick=True)) == {6}


def test_each_finding_is_printed_as_it_is_stored(busy_world: World) -> None:
    two_balances_are_off()
    told: dict[int, list[str]] = {}
    verification = verify.run(report=told.__setitem__)
    assert sorted(told) == list(range(1, 11))
    assert [[number, said] for number in sorted(told) for said in told[number]] == verification.findings


def test_a_bug_that_affects_every_row_is_stored_bounded(
    busy_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "MAX_FINDINGS", 2)
    for number in range(5):
        lay(f"aurora/stray-{number}")
    assert found()[6][2:] == ["and 3 more"]


# What looks like damage and is none -----------------------------------------------------------------


def test_previews_belong_to_their_picture(busy_world: World) -> None:
    for side in Side:
        for size in Size:
            previews.preview(job(), side, size)
    paths = list(Path(job().result.path).parent.iterdir())
    assert len(paths) == 6
    for path in paths:
        os.utime(path, (HOURS_AGO, HOURS_AGO))
    assert found() == {}


def test_a_young_file_may_still_get_its_row(busy_world: World) -> None:
    lay("aurora/somewhere/source.png", time.time() - 50 * 60)
    assert found() == {}


def test_a_result_that_waits_for_a_worker_is_no_stray(busy_world: World, server: Server) -> None:
    """It was stored, and the machine went down for hours before it was booked."""
    waiting = attempt(State.PREPARED)
    change(waiting, state=State.ANSWERED, status=200, sent_at=timezone.now(), charged_microcredits=CREDIT)
    lay(str(Path(str(waiting.job.source)).parent / "result-1.png"))
    assert found() == {}


def test_strays_can_be_asked_for(busy_world: World) -> None:
    assert list(strays.find_strays(set(inventory.stored_names()))) == []
    stray_file()
    assert list(strays.find_strays(set(inventory.stored_names()))) == ["aurora/somewhere/result-1.png"]


def test_what_was_stored_after_the_first_look_is_not_lost(
    busy_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance.establish()
    monkeypatch.setattr(inventory, "stored_names", lambda: iter(()))
    assert found() == {}


def test_a_stray_that_the_nights_sweep_just_missed_is_no_finding_yet(busy_world: World) -> None:
    """It became old enough to be moved in between."""
    stray_file()
    path = default_storage.path("aurora/somewhere/result-1.png")
    for minutes, is_found in ((61, False), (121, True)):
        then = time.time() - minutes * 60
        os.utime(path, (then, then))
        assert list(strays.find_strays(set(inventory.stored_names()))) == ["aurora/somewhere/result-1.png"]
        assert bool(verify.run().findings) is is_found


def test_what_got_its_row_after_the_first_look_is_no_stray(
    busy_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late() -> set[str]:
        change(job(), source="aurora/late.png")
        return set()

    lay("aurora/late.png")
    monkeypatch.setattr(inventory, "unbooked_results", late)
    assert found() == {}


def test_forgetting_a_price_begins_anew(busy_world: World, server: Server) -> None:
    Price.objects.update(microcredits_per_megapixel=0, since=timezone.now() + timedelta(minutes=2))
    assert found() == {}
    price_too_high()
    assert set(found()) == {8}


def test_a_price_of_another_upstream_is_not_taken_for_wrong(busy_world: World) -> None:
    band = Price.objects.get().band
    Price.objects.create(
        upstream="https://old.example.org", band=band, microcredits_per_megapixel=CREDIT // 2
    )
    assert found() == {}


def test_a_period_with_a_call_in_doubt_may_have_cost_it(busy_world: World) -> None:
    in_doubt = attempt(State.IN_DOUBT)
    change(in_doubt, sent_at=timezone.now() - timedelta(hours=1, minutes=30), status=None)
    snapshot(timedelta(hours=2), 900 * CREDIT)
    snapshot(timedelta(hours=1), 899 * CREDIT)
    assert found() == {}


@pytest.mark.parametrize("claimed_minutes_ago", [4, 6])
def test_a_due_job_waits_its_turn_while_others_are_claimed(
    busy_world: World, settings: Settings, claimed_minutes_ago: int
) -> None:
    nobody_works()
    Ramp.objects.update(claimed_at=timezone.now() - timedelta(minutes=claimed_minutes_ago))
    assert set(found()) == ({9} if claimed_minutes_ago == 6 else set())
    settings.CALLS_IN_FLIGHT = 0
    assert found() == {}


def test_a_due_job_waits_as_long_as_the_upstream_asks_for(world: World, server: Server) -> None:
    server.script.append(wire.error(429, 1015, "slow", Retry_After="900"))
    put_off, _wait = world.job(), run(server)
    other = world.job()
    change(other, run_after=timezone.now() - timedelta(minutes=6))
    Ramp.objects.update(claimed_at=timezone.now() - timedelta(minutes=6))
    assert found() == {}
    change(put_off, reason="unreachable")
    assert set(found()) == {9}


def test_work_under_way_raises_no_false_alarm(committed_world: World, server: Server) -> None:
    """Verification runs repeatedly while two threads pay for thirty pictures."""
    for _ in range(30):
        committed_world.job(small_png(9, 9))
    findings, looks = [], 0
    with working(server.upstream, threads=2):
        while not all_done():
            findings += verify.run().findings
            looks += 1
        until(all_done)
    assert looks >= 2
    assert findings == []
    assert claims.claim("test") is None


@pytest.mark.parametrize("in_one_view", [True, False])
def test_all_is_seen_as_of_one_moment(
    committed_world: World, monkeypatch: pytest.MonkeyPatch, in_one_view: bool
) -> None:
    """A booking commits between two of its queries. The control runs without a snapshot, and is deceived."""
    booked: list[str] = []

    def book() -> None:
        ledger.grant(committed_world.team, CREDIT, key="meanwhile")
        connection.close()

    def interfere(execute: Any, sql: str, *more: Any) -> Any:
        result = execute(sql, *more)
        if "GROUP BY" in sql and not booked:
            booked.append(sql)
            thread = threading.Thread(target=book)
            thread.start()
            thread.join()
        return result

    if not in_one_view:
        monkeypatch.setattr(verify, "_snapshot", nullcontext)
    with connection.execute_wrapper(interfere):
        findings = found()
    assert booked
    assert set(findings) == (set() if in_one_view else {2})
    assert ledger.balances(committed_world.team).available == 101 * CREDIT
