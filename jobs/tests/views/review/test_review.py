"""The review page: who sees which cases, what they may do about each, and what the others then read."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS as CREDIT
from accounts.ledger.operations import Balances
from accounts.models import Adjustment, AuditEntry, CreditRequest, Membership, Role, Transfer, User
from accounts.tests.teams.team_pages import log_in, page, text, told
from conftest import World
from jobs.audit import bad_results
from jobs.audit.cases import queries
from jobs.models import Attempt, BadResult, DamagedResult, Job, Verification
from jobs.tests import upstream as wire
from jobs.tests.audit.test_review import in_doubt
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

TABLES = (Transfer, Adjustment, AuditEntry, Attempt, BadResult, Job, CreditRequest)


@pytest.fixture
def root(world: World) -> User:
    return User.objects.create_superuser("root@example.org")


def rows() -> list[Any]:
    return [row for table in TABLES for row in table._default_manager.order_by("pk").values()]


def done(world: World, server: Server, charged: str = "1") -> Attempt:
    job = world.job(user=world.bob)
    server.script.append(wire.answer(charged=charged))
    run(server)
    return Attempt.objects.select_related("job", "hold").get(job=job)


def decide(client: Client, world: World, case: str, action: str, **fields: str) -> Any:
    sent = {"action": action, "reason": "the invoice says so"} | fields
    return client.post(page(world, "decide_case", case), sent, follow=True)


def addresses(response: Any) -> list[str]:
    return [case.address for case in response.context["page"].cases]


def every_kind(world: World, server: Server) -> dict[str, str]:
    """Make a case of each kind that a team can have; return their addresses by kind."""
    made = {
        "in_doubt": in_doubt(world, server),
        "no_header": in_doubt(world, server, wire.answer(charged=None)),
        "implausible": in_doubt(world, server, wire.answer(charged="500")),
        "overage": done(world, server, "3"),
    }
    cases = {kind: f"attempt-{attempt.pk}" for kind, attempt in made.items()}
    finished = done(world, server)
    report = bad_results.report(finished.job, world.bob, "no shoe")
    DamagedResult.objects.create(job=finished.job)
    asked = CreditRequest.objects.create(team=world.team, asked_by=world.bob, microcredits=7 * CREDIT)
    change = Adjustment.objects.create(
        team=world.team, kind="adjust", microcredits=-CREDIT, reason="x", key="k", asked_by=world.bob
    )
    return cases | {
        "report": f"report-{report.pk}",
        "damaged": f"result-{finished.job_id}",
        "request": f"request-{asked.pk}",
        "adjustment": f"adjustment-{change.pk}",
    }


# The list ---------------------------------------------------------------------------------------------


def test_every_kind_is_listed_by_money_at_stake(world: World, server: Server, client: Client) -> None:
    cases = every_kind(world, server)
    response = log_in(client, "alice").get(page(world, "review"))
    assert set(addresses(response)) == set(cases.values())
    stakes = [case.entry.stake for case in response.context["page"].cases]
    assert stakes == sorted(stakes, reverse=True)
    assert addresses(response)[:2] == [cases["implausible"], cases["request"]]
    for case in cases.values():
        assert log_in(client, "alice").get(page(world, "review"), {"case": case}).status_code == 200


def test_what_can_not_be_right_comes_with_its_header_verbatim(
    world: World, server: Server, client: Client
) -> None:
    attempt = in_doubt(world, server, wire.answer(charged="500.00"))
    shown = text(log_in(client, "alice").get(page(world, "review")))
    assert "Implausible charge" in shown
    assert "<code>X-Credits-Charged: 500.00</code>" in shown
    assert "500 credits at stake" in shown
    assert 'name="credits" value="1"' in shown, "the estimate, and not what the header says"
    assert f"{attempt.job_id}/1" in shown


def test_a_kind_is_picked_and_pages_follow(
    world: World, server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = every_kind(world, server)
    alice = log_in(client, "alice")
    assert addresses(alice.get(page(world, "review"), {"kind": "overage"})) == [cases["overage"]]
    monkeypatch.setattr(queries, "PAGE", 3)
    pages = [alice.get(page(world, "review"), {"page": number}) for number in (1, 2, 3, 4)]
    listed = [address for response in pages for address in addresses(response)]
    assert sorted(listed) == sorted(cases.values())
    assert [response.context["page"].has_next for response in pages] == [True, True, False, False]


@pytest.mark.parametrize("query", [{"page": "x"}, {"page": "-1"}, {"page": "9" * 30}, {"kind": "<b>"}])
def test_an_address_that_makes_no_sense_shows_a_page(
    world: World, client: Client, query: dict[str, str]
) -> None:
    assert log_in(client, "alice").get(page(world, "review"), query).status_code == 200


@pytest.mark.parametrize(
    "case", ["attempt-9999999", "attempt-x", "nothing-1", "attempt-1-1", "finding-1-1", "x" * 99, "team-1"]
)
def test_a_case_that_is_not_there_is_404(world: World, client: Client, case: str) -> None:
    alice = log_in(client, "alice")
    assert alice.get(page(world, "review"), {"case": case}).status_code == 404
    assert alice.post(page(world, "decide_case", case), {"action": "charged"}).status_code == 404


@pytest.mark.parametrize(("who", "status"), [("vera", 403), ("bob", 403), ("charlie", 404)])
def test_others_see_and_decide_nothing(
    world: World, server: Server, client: Client, who: str, status: int
) -> None:
    """charlie owns another team."""
    attempt = in_doubt(world, server)
    log_in(client, who)
    before = rows()
    assert client.get(page(world, "review")).status_code == status
    assert decide(client, world, f"attempt-{attempt.pk}", "not_charged").status_code == status
    several = {"case": f"attempt-{attempt.pk}", "choice": "estimated", "confirmed": "1", "reason": "x"}
    assert client.post(page(world, "decide_cases"), several).status_code == status
    assert client.post(page(world, "correct_credits"), {}).status_code == status
    assert client.get(reverse("all_reviews")).status_code == 404
    assert rows() == before


def test_by_their_own_teams_address_they_reach_no_others_case(
    world: World, server: Server, client: Client
) -> None:
    attempt, before = in_doubt(world, server), rows()
    log_in(client, "charlie")
    own = world.charlie.memberships.get().team.slug
    address = reverse("decide_case", args=[own, f"attempt-{attempt.pk}"])
    before = rows()
    assert client.post(address, {"action": "not_charged", "reason": "x"}).status_code == 404
    chosen = {"case": f"attempt-{attempt.pk}", "choice": "not_charged", "confirmed": "1", "reason": "x"}
    client.post(reverse("decide_cases", args=[own]), chosen)
    assert rows() == before


def test_staff_see_all_teams_and_what_does_not_verify(
    world: World, server: Server, client: Client, root: User
) -> None:
    attempt = in_doubt(world, server)
    Verification.objects.create(findings=[[2, "Balance 7 doesn't equal its transfers."]])
    client.force_login(root)
    response = client.get(reverse("all_reviews"))
    assert response.context["page"].cases[0].what == "Balance 7 doesn't equal its transfers."
    assert "manage.py reconcile --attempts" in text(response)
    assert f"attempt-{attempt.pk}" in addresses(response)
    assert "Balance 7" not in text(log_in(client, "alice").get(page(world, "review")))
    client.force_login(root)
    sent = {"action": "not_charged", "reason": "asked", "list": "all"}
    answer = client.post(page(world, "decide_case", f"attempt-{attempt.pk}"), sent)
    assert answer.headers["Location"] == reverse("all_reviews")


# Decisions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "credits_", "spent"), [("charged", "0,75", 750_000), ("not_charged", "", 0)]
)
def test_a_call_in_doubt_is_decided(
    world: World, server: Server, client: Client, action: str, credits_: str, spent: int
) -> None:
    attempt = in_doubt(world, server)
    client.cookies["django_language"] = "fr" if "," in credits_ else "en"
    decide(log_in(client, "alice"), world, f"attempt-{attempt.pk}", action, credits=credits_)
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT - spent, spent=spent)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject, entry.actor) == ("resolve", f"attempt:{attempt.pk}", world.alice)
    assert (entry.before["state"], entry.before["held"]) == ("in_doubt", CREDIT)
    assert (entry.after["charged_microcredits"], entry.after["spent"]) == (spent, spent)
    assert entry.request_id
    assert entry.reason == "the invoice says so"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"credits": ""}, "Say how many credits."),
        ({"credits": "0"}, "greater than or equal to"),
        ({"credits": "-1"}, "greater than or equal to"),
        ({"credits": "0.0000001"}, "no more than 6 decimal places"),
        ({"credits": str(2**64)}, "no more than"),
        ({"credits": "many"}, "Enter an amount of credits"),
        ({"credits": "1", "reason": "  "}, "Say why"),
        ({"credits": "1", "reason": "x" * 401}, "at most 400 characters"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    world: World, server: Server, client: Client, fields: dict[str, str], complaint: str
) -> None:
    attempt = in_doubt(world, server)
    log_in(client, "alice")
    before = rows()
    response = decide(client, world, f"attempt-{attempt.pk}", "charged", **fields)
    assert response.status_code == 400
    assert complaint in text(response)
    assert rows() == before


def test_who_comes_second_reads_what_was_decided(world: World, server: Server, client: Client) -> None:
    attempt = in_doubt(world, server)
    case = f"attempt-{attempt.pk}"
    Membership.objects.filter(user=world.vera).update(role=Role.MANAGER)
    decide(log_in(client, "vera"), world, case, "charged", credits="0.5", reason="I asked Pixian")
    log_in(client, "alice")
    before = rows()
    late = decide(client, world, case, "not_charged")
    assert "Someone else decided this meanwhile" in told(late)
    assert "I asked Pixian" in text(late)
    assert "vera@example.org" in text(late)
    assert rows() == before


def test_a_response_that_came_meanwhile_stops_the_decision(
    world: World, server: Server, client: Client
) -> None:
    attempt = in_doubt(world, server)
    seen = re.search(r'name="seen" value="([^"]*)"', text(log_in(client, "alice").get(page(world, "review"))))
    assert seen
    late = {"answered_at": timezone.now(), "status": 200, "charged_microcredits": CREDIT, "doubt": "late"}
    Attempt.objects.filter(pk=attempt.pk).update(**late)
    before = rows()
    decide(client, world, f"attempt-{attempt.pk}", "not_charged", seen=seen[1])
    assert rows() == before


def test_one_that_waits_for_the_balance_comes_last_and_can_still_be_decided(
    world: World, server: Server, client: Client
) -> None:
    first, second = in_doubt(world, server), in_doubt(world, server)
    case = f"attempt-{first.pk}"
    log_in(client, "alice")
    decide(client, world, case, "put_off", reason="")
    response = client.get(page(world, "review"), {"case": case})
    assert addresses(response) == [f"attempt-{second.pk}", case]
    assert "Waiting for the balance" in text(response)
    assert [action.name for action in response.context["actions"]] == ["charged", "not_charged"]
    before = rows()
    decide(client, world, case, "put_off")
    assert rows() == before
    decide(client, world, case, "not_charged")
    row = Attempt.objects.get(pk=first.pk)
    assert (row.state, row.put_off_at) == ("released", None)
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["put_off", "resolve"]


@pytest.mark.parametrize(
    ("action", "after"),
    [
        ("acknowledge", Balances(available=97 * CREDIT, spent=3 * CREDIT)),
        ("write_off", Balances(available=99 * CREDIT, spent=3 * CREDIT)),
        ("refund", Balances(available=100 * CREDIT, spent=3 * CREDIT)),
    ],
)
def test_an_overage_is_settled(
    world: World, server: Server, client: Client, root: User, action: str, after: Balances
) -> None:
    attempt = done(world, server, "3")
    client.force_login(root)
    decide(client, world, f"attempt-{attempt.pk}", action, credits="3")
    assert ledger.balances(world.team) == after
    assert not Attempt.objects.for_review().exists()
    before = rows()
    for again in ("acknowledge", "write_off", "refund"):
        assert "Someone else" in told(decide(client, world, f"attempt-{attempt.pk}", again, credits="1"))
    assert rows() == before


def test_more_than_was_booked_is_not_refunded(
    world: World, server: Server, client: Client, root: User
) -> None:
    attempt = done(world, server, "3")
    client.force_login(root)
    before = rows()
    response = decide(client, world, f"attempt-{attempt.pk}", "refund", credits="3.000001")
    assert "At most 3 credits are left to give back." in text(response)
    assert rows() == before


def test_a_managers_refund_waits_for_staff_who_approve_it(
    world: World, server: Server, client: Client, root: User
) -> None:
    report = bad_results.report(done(world, server).job, world.bob, "no shoe")
    answer = decide(log_in(client, "alice"), world, f"report-{report.pk}", "refund", credits="1")
    assert "waits for a second person" in told(answer)
    waiting = Adjustment.objects.get()
    case = f"adjustment-{waiting.pk}"
    mine = client.get(page(world, "review"), {"case": case})
    assert mine.context["actions"] == []
    before = rows()
    decide(client, world, case, "approve")
    assert rows() == before

    client.force_login(root)
    decide(client, world, case, "approve", reason="")
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT, spent=CREDIT)
    report.refresh_from_db()
    assert (report.answer, report.answered_by) == ("refunded", root)
    assert not queries.page(world.team).cases


def test_a_rejected_write_off_leaves_the_overage(
    world: World, server: Server, client: Client, root: User
) -> None:
    attempt = done(world, server, "3")
    decide(log_in(client, "alice"), world, f"attempt-{attempt.pk}", "write_off")
    case = f"adjustment-{Adjustment.objects.get().pk}"
    client.force_login(root)
    assert decide(client, world, case, "reject", reason=" ").status_code == 400
    decide(client, world, case, "reject", reason="it was charged")
    assert [each.address for each in queries.page(world.team).cases] == [f"attempt-{attempt.pk}"]
    assert "Someone else" in told(decide(client, world, case, "approve"))
    decide(client, world, f"attempt-{attempt.pk}", "write_off")
    assert ledger.balances(world.team) == Balances(available=99 * CREDIT, spent=3 * CREDIT)


def test_a_report_is_declined_with_a_reason_that_the_reporter_reads(
    world: World, server: Server, client: Client
) -> None:
    job = done(world, server).job
    report = bad_results.report(job, world.bob, "no shoe")
    assert (
        decide(log_in(client, "alice"), world, f"report-{report.pk}", "decline", reason="").status_code == 400
    )
    decide(client, world, f"report-{report.pk}", "decline", reason="There is <no> shoe in the photo.")
    shown = text(log_in(client, "bob").get(job.get_absolute_url()))
    assert "Declined by alice@example.org:</b> There is &lt;no&gt; shoe in the photo." in shown


def test_a_report_whose_refund_waits_is_not_declined(
    world: World, server: Server, client: Client, root: User
) -> None:
    job = done(world, server).job
    case = f"report-{bad_results.report(job, world.bob, 'no shoe').pk}"
    decide(log_in(client, "alice"), world, case, "refund", credits="0.5")
    shown = client.get(page(world, "review"), {"case": case})
    assert shown.context["actions"] == []
    assert "asked for by alice@example.org, waits for a second person." in text(shown)
    assert "Once it is approved or rejected, this case goes on." in text(shown)
    before = rows()
    for action in ("decline", "refund"):
        said = told(decide(client, world, case, action, credits="0.5"))
        assert "This waits for a second person already. Nothing was changed." in said
    assert rows() == before

    client.force_login(root)
    decide(client, world, f"adjustment-{Adjustment.objects.get().pk}", "approve")
    assert BadResult.objects.get().answer == "refunded"


def test_a_response_that_contradicts_a_decision_is_a_case(
    world: World, server: Server, client: Client
) -> None:
    attempt = in_doubt(world, server)
    decide(log_in(client, "alice"), world, f"attempt-{attempt.pk}", "not_charged")
    came = timezone.now() + timedelta(seconds=1)
    Attempt.objects.filter(pk=attempt.pk).update(
        doubt="late", answered_at=came, charged_microcredits=CREDIT, charged_header="1"
    )
    (case,) = queries.page(world.team).cases
    assert (case.kind, case.entry.stake) == ("mismatch", CREDIT)


# Corrections ------------------------------------------------------------------------------------------

TOKEN = "11111111-0000-4000-8000-000000000000"
CORRECTION = {"token": TOKEN, "direction": "up", "credits": "2.5", "reason": "blank pictures"}


def correct(client: Client, world: World, **fields: str) -> Any:
    return client.post(page(world, "correct_credits"), CORRECTION | fields, follow=True)


def test_staff_correct_credits_once_for_each_form(world: World, client: Client, root: User) -> None:
    client.force_login(root)
    correct(client, world)
    assert "sent twice" in told(correct(client, world))
    assert ledger.balances(world.team) == Balances(available=102 * CREDIT + CREDIT // 2)
    correct(client, world, token=TOKEN.replace("1", "2"), direction="down", credits="0,5")
    assert ledger.balances(world.team) == Balances(available=102 * CREDIT)
    assert AuditEntry.objects.count() == 2


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"reason": "  "}, "This field is required."),
        ({"credits": "0"}, "greater than or equal to"),
        ({"credits": "-1"}, "greater than or equal to"),
        ({"credits": str(2**64)}, "no more than"),
        ({"direction": "down", "credits": "101"}, "Only 100 credits are available"),
        ({"direction": "sideways"}, "Select a valid choice"),
        ({"token": "x"}, "Enter a valid UUID"),
    ],
)
def test_a_correction_that_makes_no_sense_writes_nothing(
    world: World, client: Client, root: User, fields: dict[str, str], complaint: str
) -> None:
    client.force_login(root)
    before = rows()
    response = correct(client, world, **fields)
    assert response.status_code == 400
    assert complaint in text(response)
    assert rows() == before


def test_a_large_correction_waits(world: World, client: Client, root: User, settings: Settings) -> None:
    settings.SECOND_REVIEW_MICROCREDITS = CREDIT
    client.force_login(root)
    assert "waits for a second person" in told(correct(client, world))
    assert ledger.balances(world.team) == Balances(available=100 * CREDIT)


def test_members_who_manage_correct_nothing(world: World, client: Client) -> None:
    assert correct(log_in(client, "alice"), world).status_code == 403


# The bar ----------------------------------------------------------------------------------------------


def test_the_bar_counts_the_cases_for_those_who_decide(
    world: World, server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = page(world, "workspace")
    assert page(world, "review") in text(log_in(client, "alice").get(workspace))
    for _ in range(2):
        in_doubt(world, server)
    assert '<small class="count" title="Cases to settle">2</small>' in text(client.get(workspace))
    monkeypatch.setattr(queries, "MAX_COUNTED", 1)
    assert '<small class="count" title="Cases to settle">1+</small>' in text(client.get(workspace))
    assert page(world, "review") not in text(log_in(client, "bob").get(workspace))


def test_the_page_asks_a_bounded_number_of_questions(
    world: World, server: Server, client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    every_kind(world, server)
    log_in(client, "alice")
    with django_assert_max_num_queries(45):
        client.get(page(world, "review"))
    for _ in range(5):
        in_doubt(world, server)
    with django_assert_max_num_queries(45):
        client.get(page(world, "review"))
