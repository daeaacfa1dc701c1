"""Check each part of the instance, with a sentence for the person who runs it.

A part that doesn't respond turns its own line red; it never makes the page fail.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext as _

from pixian_web.health import components, work
from pixian_web.health.components import Finding

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Check:
    """One part of the instance: is it fine, and what there is to say about it.

    fine: None if only a question over the network will tell, which the page asks by itself.
    """

    name: str
    fine: bool | None
    says: str


def checks() -> list[Check]:
    """Check all that is here and answers at once. The upstream is only as it was when it last answered."""
    here = [Check(name, *run(check)) for name, check in _parts()]
    return [Check(_("Upstream"), None, components.last_balance()), *here]


def upstream() -> Check:
    """Ask the upstream, which may take seconds if it doesn't respond."""
    return Check(_("Upstream"), *run(components.upstream_account))


def _parts() -> Iterator[tuple[str, Callable[[], Finding]]]:
    yield _("Database"), components.database
    yield _("Search"), components.name_search
    yield _("Web processes"), components.web_processes
    yield _("Workers"), components.running_workers
    if settings.CELERY_BROKER_URL:
        yield _("Broker"), components.broker
        yield _("Beat"), components.beat
    yield _("Periodic tasks"), components.periodic_tasks
    yield _("Calls"), work.calls
    yield _("Queue"), work.queue
    yield _("Disk"), work.disk
    yield _("Files"), work.files
    yield _("Review"), work.review
    yield _("Books and files"), work.books


def run(check: Callable[[], Finding]) -> Finding:
    """Return what a check finds; one that fails itself is a finding too."""
    try:
        return check()
    except (OperationalError, InterfaceError, OSError) as error:  # the part doesn't respond
        return False, str(error).strip()
    except Exception:
        log.exception("a health check failed")
        return False, _("This check itself failed. See the log.")
