"""One log line for each API call: its key, outcome, charge and duration.

The line has no URL, since old programs send their key in it.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

import structlog
from django.http import HttpRequest

from accounts import request_id
from accounts.ledger.money import to_credits
from accounts.models import ApiKey
from jobs.models import Attempt, Job

log = structlog.get_logger(__name__)

KEY_PREFIX = 6
"""Characters of an API Id that are logged: enough to find the key in the team's list."""


@dataclass
class CallLine:
    """A line as far as it is known. attempt: the call's own; None for a repeated request."""

    name: str
    key: ApiKey | None = None
    job: Job | None = None
    attempt: Attempt | None = None
    began: float = field(default_factory=time.monotonic)
    request_id: str = field(default_factory=request_id.current)

    def write(self, status: int) -> None:
        """Log the line. Called once the response is sent: only then is the charge known."""
        charged = self.attempt.known_microcredits if self.attempt else None
        with request_id.working_for(self.request_id):  # the request's middleware is through
            log.info(
                "call",
                call=self.name,
                status=status,
                team=self.key and self.key.team.slug,
                key=self.key and self.key.api_id[:KEY_PREFIX],
                job=self.job and self.job.pk,
                charged=None if charged is None else str(to_credits(charged)),
                seconds=round(time.monotonic() - self.began, 3),
            )


_line: ContextVar[CallLine | None] = ContextVar("line", default=None)
"""The line of the request that this thread serves."""


def begin(request: HttpRequest) -> CallLine:
    """Start a request's line."""
    match = request.resolver_match
    line = CallLine(match.url_name or match.route if match else "")
    _line.set(line)
    return line


def note_key(key: ApiKey) -> None:
    if line := _line.get():
        line.key = key


def note_job(job: Job, attempt: Attempt | None) -> None:
    if line := _line.get():
        line.job, line.attempt = job, attempt
