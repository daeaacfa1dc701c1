"""Email requests for credits to those who can help, and the answers to those who asked."""

from django.conf import settings
from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import mail
from accounts.models import CreditRequest, Role


def tell_who_can_help(asked: CreditRequest) -> bool:
    """Email the team's owners and managers, and staff, without the person who asked."""
    subject = _("%(who)s asks for credits for %(team)s") % {"who": asked.asked_by, "team": _one_line(asked)}
    return mail.send(subject, _body("accounts/credit_request.txt", asked), _who_can_help(asked))


def tell_the_asker(asked: CreditRequest) -> bool:
    """Email what became of the request."""
    said = _("No credits for %(team)s") if asked.is_declined else _("Credits for %(team)s")
    body = _body("accounts/credit_request_decided.txt", asked)
    return mail.send(said % {"team": _one_line(asked)}, body, mail.reached(Q(pk=asked.asked_by_id)))


def _who_can_help(asked: CreditRequest) -> list[str]:
    manages = Q(memberships__team=asked.team, memberships__role__gte=Role.MANAGER)
    others = (manages | Q(is_staff=True)) & ~Q(pk=asked.asked_by_id)
    return mail.reached(others)


def _body(template: str, asked: CreditRequest) -> str:
    page = reverse("credits", args=[asked.team.slug])
    return render_to_string(template, {"asked": asked, "link": f"{settings.PUBLIC_URL}{page}"})


def _one_line(asked: CreditRequest) -> str:
    return " ".join(asked.team.name.split())
