"""Show a team's usage, and send it as a file."""

from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.formats import date_format, number_format
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_safe

from accounts.ledger import allowances
from accounts.ledger import operations as ledger
from accounts.ledger.money import display, for_plural
from accounts.models import Membership, Role, Team, User
from accounts.teams.permissions import enter_or_staff
from jobs.audit import usage as audit
from jobs.audit import usage_export
from jobs.audit.usage import By, GroupUsage
from jobs.search.date_range import DateRange
from jobs.views import exports
from jobs.views.credits.charts import bar_chart
from jobs.views.credits.usage_parts import Of, breakdown
from jobs.views.credits.usage_period import CHOICES, PeriodForm

OK, BAD_REQUEST = 200, 400
MAX_BARS = 92
"""A longer period has a bar for each month instead of one for each day."""


@require_GET
def usage(request: HttpRequest, team: str) -> HttpResponse:
    """Show the charts of some days. Days that can't be shown come back in their form, with what is wrong."""
    entered, member = enter_or_staff(request, team)
    form = PeriodForm(request.GET)
    is_valid = form.is_valid()
    user = cast("User", request.user)
    sees_all = user.is_staff or (member is not None and member.role >= Role.MANAGER)
    context = {
        "team": entered,
        "form": form,
        "periods": CHOICES,
        "money": ledger.balances(entered),
        "standings": allowances.visible_standings(entered, user, all_of_team=sees_all),
    }
    context |= _charts(entered, member, form) if is_valid else {}
    return render(request, "jobs/usage.html", context, status=OK if is_valid else BAD_REQUEST)


@require_safe
def usage_csv(request: HttpRequest, team: str) -> HttpResponseBase:
    """Send the usage of each day by person, key and batch."""
    entered, _member = enter_or_staff(request, team)
    form = PeriodForm(request.GET)
    if not form.is_valid():
        return HttpResponseBadRequest(str(form.errors))
    rows = usage_export.as_csv(entered, DateRange(form.first, form.last))
    name = f"usage-{entered.slug}-{form.first}-{form.last}.csv"
    return exports.attachment(rows, name)


def _charts(team: Team, member: Membership | None, form: PeriodForm) -> dict[str, Any]:
    span = DateRange(form.first, form.last)
    by_day = audit.by_group(team, span, By.DAY)
    total, days = audit.total(by_day), list(audit.each_day(by_day, form.first, form.last))
    by_month = len(days) > MAX_BARS
    steps = list(audit.each_month(days)) if by_month else days
    return {
        "total": total,
        "by_month": by_month,
        "step_format": "F Y" if by_month else "j N Y",
        "steps": steps,
        "chart": bar_chart([(step.usage.booked, _title(step, by_month=by_month)) for step in steps]),
        "breakdowns": Of,
        "breakdown": breakdown(form.of, team, span, total, links=member is not None),
    }


def _title(step: GroupUsage, *, by_month: bool) -> str:
    booked, calls = step.usage.booked, step.usage.calls
    said = {
        "day": date_format(step.group, "F Y" if by_month else "j F Y"),
        "credits": display(booked),
        "calls": number_format(calls, force_grouping=True),
    }
    spent = ngettext("%(day)s: %(credits)s credit", "%(day)s: %(credits)s credits", for_plural(booked)) % said
    return ", ".join([spent, ngettext("%(calls)s picture", "%(calls)s pictures", calls) % said])
