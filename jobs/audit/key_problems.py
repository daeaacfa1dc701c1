"""Tell a key's owner what went wrong with its newest calls, and which parameters nothing here understands."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accounts.models import ApiKey
from jobs.models import Attempt, Job

NEWEST = 200
SHOWN = 5
MAX_NAME = 60


@dataclass(frozen=True)
class CallError:
    """Calls that ended with the same error; at and message are the newest one's."""

    status: int | None
    code: int | None
    message: str
    at: datetime
    count: int


@dataclass(frozen=True)
class KeyProblems:
    """Problems of a key's newest calls. calls: how many were looked at. ignored: names, with their counts."""

    calls: int
    errors: list[CallError]
    ignored: list[tuple[str, int]]


def of_key(key: ApiKey) -> KeyProblems:
    """Read the key's newest jobs, which ``job_by_key`` has in order."""
    jobs = list(
        Job.objects.filter(api_key=key).order_by("-pk").values_list("pk", "state", "ignored")[:NEWEST]
    )
    unfinished = [pk for pk, state, _ignored in jobs if state in (Job.State.FAILED, Job.State.IN_DOUBT)]
    names = Counter(str(name)[:MAX_NAME] for _pk, _state, ignored in jobs for name in ignored)
    return KeyProblems(len(jobs), _errors(unfinished) if unfinished else [], names.most_common(SHOWN))


def _errors(jobs: Iterable[int]) -> list[CallError]:
    """Group the attempts of these jobs by their errors, the most frequent first."""
    attempts = Attempt.objects.filter(job__in=jobs).order_by("-pk")
    rows = list(attempts.values_list("status", "error_code", "error_message", "prepared_at"))
    counts = Counter((status, code) for status, code, _message, _at in rows)
    newest = {(status, code): (message, at) for status, code, message, at in reversed(rows)}
    return [
        CallError(status, code, *newest[status, code], count)
        for (status, code), count in counts.most_common(SHOWN)
    ]
