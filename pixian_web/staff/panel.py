"""Lead staff to the pages for running the site, with a figure for each."""

from dataclasses import dataclass

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from accounts.ledger.money import display, for_plural
from accounts.models import Team, User
from accounts.teams.permissions import staff_only
from engine.environment import Environment, Source
from jobs.audit.cases import queries
from jobs.audit.reconcile import summary
from jobs.audit.reconcile.periods import Outcome
from jobs.models import Job, UpstreamAccount, Verification
from jobs.queue import workers
from pixian_web.health.work import up_to_99

MAX_COUNTED = 100_000


@dataclass(frozen=True)
class Figure:
    """A figure of a page, in words. tone: of its colour and icon, empty for a plain one."""

    text: str
    tone: str = ""


@staff_only
@require_safe
def staff(request: HttpRequest) -> HttpResponse:
    figures = {
        "teams": Figure(_count(Team.objects.all())),
        "people": Figure(_count(User.objects.all())),
        "reconciliation": _reconciliation(),
        "review": _review(),
        "upstream": _upstream(),
        "health": _health(),
        "settings": _settings(),
    }
    return render(request, "staff/panel.html", figures)


def _count(rows: QuerySet[Team] | QuerySet[User]) -> str:
    """Return the number of rows, counted no further than a page has time for."""
    number = rows.order_by()[: MAX_COUNTED + 1].count()
    text = number_format(min(number, MAX_COUNTED), force_grouping=True)
    return text if number <= MAX_COUNTED else f"{text}+"


def _reconciliation() -> Figure:
    """Tell how the newest period that was compared came out."""
    account = UpstreamAccount.objects.of_settings()
    last = summary.rows_of(account).first() if account else None
    if last is None:
        return Figure(_("nothing compared yet"))
    judged = summary.judge(last)
    if judged.outcome is Outcome.AGREES:
        return Figure(_("agrees"), "ok")
    tone = "fail" if judged.outcome in summary.FOR_A_PERSON else "wait"
    off = abs(judged.difference)
    text = ngettext("%(credits)s credit off", "%(credits)s credits off", for_plural(off))
    return Figure(text % {"credits": display(off)}, tone)


def _review() -> Figure:
    waiting = queries.count(None)
    if not waiting:
        return Figure(_("nothing waits"), "ok")
    text = ngettext("%(count)s case waits", "%(count)s cases wait", waiting) % {"count": up_to_99(waiting)}
    return Figure(text, "doubt")


def _upstream() -> Figure:
    calls = Job.objects.in_flight(timezone.now()).count()
    text = ngettext("%(count)s call in flight", "%(count)s calls in flight", calls) % {"count": calls}
    return Figure(text, "run" if calls else "")


def _health() -> Figure:
    """Tell what is known without asking each part: the last verification, and the workers."""
    last = Verification.objects.first()
    if last and last.findings:
        return Figure(_("the books or files are wrong"), "fail")
    threads = sum(workers.at_work().values_list("threads", flat=True))
    if not threads:
        return Figure(_("no worker is running"), "fail")
    text = ngettext("%(count)s worker thread", "%(count)s worker threads", threads) % {"count": threads}
    return Figure(text, "ok")


def _settings() -> Figure:
    is_set = sum(reading.source is not Source.DEFAULT for reading in Environment.readings.values())
    return Figure(_("%(count)s of %(all)s set") % {"count": is_set, "all": len(Environment.readings)})
