"""Show staff that the books and the upstream account agree, and let them settle what doesn't."""

from collections.abc import Iterator
from datetime import date
from typing import cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts import spreadsheet
from accounts.ledger.money import exact, for_plural, to_credits
from accounts.models import User
from accounts.teams.permissions import staff_only
from jobs.audit import balance_snapshots
from jobs.audit.reconcile import book, calls_page, summary
from jobs.audit.reconcile.account import between
from jobs.audit.reconcile.current_book import current_book, with_balances
from jobs.audit.reconcile.settle import settle
from jobs.audit.reconcile.summary import Judged
from jobs.calls.upstream import connect
from jobs.models import BalancePeriod, Purchase, UpstreamAccount
from jobs.search.pagination import key_of
from jobs.views import exports
from pixian.protocol.errors import AccountRefused, PixianError, Unreachable

PAGE = 24
CALLS = 20
CSV_COLUMNS = (
    "period",
    "from",
    "to",
    "opening",
    "calls",
    "charged",
    "booked",
    "purchased",
    "expected",
    "closing",
    "difference",
    "in_doubt",
    "held_in_doubt",
    "under_way",
    "outcome",
)


@staff_only
@require_GET
def reconciliation(request: HttpRequest) -> HttpResponse:
    """Show one month of an account's periods, summed by day, and those of a day or of the whole month."""
    account = chosen_account(request)
    context = {"current": current_book(), "books": with_balances(), "account": account}
    if account:
        context |= _month(request, account)
    return render(request, "jobs/reconciliation.html", context)


@staff_only
@require_GET
def balance_period(request: HttpRequest, pk: int) -> HttpResponse:
    """Explain one period line by line, and list its calls."""
    row = _period(pk)
    book.refresh_cheap([row])
    span = book.span(row)
    before = request.GET.get("before", "")
    judged = summary.judge(row)
    exact_one = summary.judge_span(span) if len(span) > 1 else None
    context = {
        "account": row.account,
        "judged": judged,
        "row": row,
        "span": exact_one,
        "explains": f"{to_credits((exact_one or judged).difference):f}",
        "purchases": _purchases_in(row),
        "notable": calls_page.notable(row),
        "before": before,
        "page": calls_page.page(row, before, CALLS),
        "middle": _middle(row),
    }
    return render(request, "jobs/balance_period.html", context)


@staff_only
@require_POST
def take_balance(request: HttpRequest) -> HttpResponse:
    """Ask the upstream for the balance now."""
    try:
        upstream = connect()
        with upstream.client:
            taken = balance_snapshots.take(upstream)
    except AccountRefused:
        text = _(
            "Pixian refuses the account, so there is no new balance. "
            "Check PIXIAN_API_ID and PIXIAN_API_SECRET."
        )
        messages.error(request, text)
    except Unreachable:
        messages.error(request, _("Pixian can't be reached, so there is no new balance. Try again later."))
    except PixianError as error:
        text = _("Pixian didn't tell the balance: %(error)s")
        messages.error(request, text % {"error": error})
    else:
        if taken:
            text = ngettext(
                "The balance is %(amount)s credit.",
                "The balance is %(amount)s credits.",
                for_plural(taken.microcredits),
            )
            messages.success(request, text % {"amount": exact(taken.microcredits)})
        else:
            messages.info(request, _("The built-in engine charges nobody, so there is no balance to take."))
    return redirect("reconciliation")


@staff_only
@require_POST
def book_balance(request: HttpRequest, pk: int) -> HttpResponse:
    """Book what the balances make certain about the calls in doubt of a period."""
    row = _period(pk)
    rows = book.span(row)
    if not rows:
        messages.info(request, _("A call was under way at a balance, so nothing is certain yet."))
        return redirect("balance_period", pk=pk)
    said = settle([between(rows[0].opening, rows[-1].closing)], cast("User", request.user))
    for sentence in said:
        messages.info(request, sentence)
    if not said:
        messages.info(request, _("There was nothing to book: someone else may have been faster."))
    return redirect("balance_period", pk=pk)


@staff_only
@require_GET
def periods_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Export all periods of an account, oldest first."""
    account = chosen_account(request)
    rows = summary.rows_of(account).order_by("closing").iterator() if account else iter(())
    return exports.attachment(spreadsheet.chunks(CSV_COLUMNS, map(_cells, rows)), "reconciliation.csv")


@staff_only
@require_GET
def period_calls_csv(_request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """Export all calls of a period."""
    return exports.attachment(calls_page.csv(_period(pk)), f"period-{pk}.csv")


def chosen_account(request: HttpRequest) -> UpstreamAccount | None:
    """Return the account that the address names, else that of the settings, else the newest one."""
    asked = key_of(request.GET.get("book", ""))
    if asked is not None:
        return get_object_or_404(UpstreamAccount, pk=asked)
    return current_book().account or with_balances().first()


def _month(request: HttpRequest, account: UpstreamAccount) -> dict[str, object]:
    newest = summary.rows_of(account).first()
    latest = timezone.localtime(newest.closing.came_at).date() if newest else timezone.localdate()
    first = _first_of(request.GET.get("month", "")) or latest.replace(day=1)
    rows = summary.in_month(account, first)
    left = book.refresh_cheap(rows)
    day = _day_of(request.GET.get("day", ""))
    listed = [row for row in rows if day is None or timezone.localtime(row.closing.came_at).date() == day]
    before = key_of(request.GET.get("before", ""))
    if before is not None:
        listed = [row for row in listed if row.closing_id < before]
    newest_first = listed[::-1]
    run = book.span(rows[0]) if rows and rows[0].flying_in else []
    earlier = [row for row in run if row.closing_id < rows[0].closing_id]
    spans = {judged.last.pk: judged for judged in summary.spans([*earlier, *rows])}
    return {
        "balance": balance_snapshots.latest(account),
        "month": first,
        "previous": _neighbour(account, first, older=True),
        "next": _neighbour(account, first, older=False),
        "day": day,
        "days": summary.days(rows),
        "total": summary.total(rows) if rows else None,
        "findings": summary.findings([*earlier, *rows]),
        "periods": [(summary.judge(row), spans.get(row.pk)) for row in newest_first[:PAGE]],
        "older": newest_first[PAGE - 1].closing_id if len(newest_first) > PAGE else None,
        "left": left,
    }


def _neighbour(account: UpstreamAccount, first: date, *, older: bool) -> date | None:
    """Return the first day of the nearest earlier or later month with periods."""
    edge = summary.month_edges(first)
    rows = summary.rows_of(account)
    near = rows.filter(closing__came_at__lt=edge[0]) if older else rows.filter(closing__came_at__gte=edge[1])
    row = near.order_by("-closing" if older else "closing").first()
    return timezone.localtime(row.closing.came_at).date().replace(day=1) if row else None


def _first_of(month: str) -> date | None:
    return _day_of(f"{month}-01")


def _day_of(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if summary.FIRST_YEAR <= day.year <= summary.LAST_YEAR else None


def _period(pk: int) -> BalancePeriod:
    try:
        return BalancePeriod.objects.select_related("account", "opening", "closing").get(pk=pk)
    except BalancePeriod.DoesNotExist as error:
        raise Http404 from error


def _purchases_in(row: BalancePeriod) -> list[Purchase]:
    within = Purchase.objects.filter(
        account=row.account_id, bought_at__gt=row.opening.came_at, bought_at__lte=row.closing.came_at
    )
    return list(within.select_related("entered_by").order_by("bought_at")[:PAGE])


def _middle(row: BalancePeriod) -> str:
    """Return a moment within the period, for a purchase that explains its difference; with its offset."""
    half = (row.closing.asked_at - row.opening.came_at) / 2
    return timezone.localtime(row.opening.came_at + half).isoformat(timespec="seconds")


def _cells(row: BalancePeriod) -> Iterator[str]:
    judged: Judged = summary.judge(row)
    yield str(row.pk)
    yield from (row.opening.came_at.isoformat(), row.closing.came_at.isoformat())
    yield f"{to_credits(row.opening.microcredits):f}"
    yield str(row.calls)
    for amount in (row.charged, row.booked, row.purchased, row.expected, row.closing.microcredits):
        yield f"{to_credits(amount):f}"
    yield f"{to_credits(-row.missing):f}"
    yield str(row.in_doubt)
    yield f"{to_credits(row.held_in_doubt):f}"
    yield str(row.flying_in + row.flying_out)
    yield judged.outcome.value if row.computed_at else "not computed yet"
