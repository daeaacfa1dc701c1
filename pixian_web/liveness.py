"""Whether the database answers, asked so that nobody waits for one that hangs."""

import time
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

import structlog
from django.db import DatabaseError, connection

log = structlog.get_logger(__name__)

WAIT_SECONDS = 1
"""Below the two seconds within which a probe is answered, on a machine that is busy too."""


@dataclass
class Question:
    """One question to the database; ``answered`` counts once ``done`` is set."""

    asked_at: float = field(default_factory=time.monotonic)
    done: Event = field(default_factory=Event)
    answered: bool = False

    def ask(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            self.answered = True
        except DatabaseError as error:
            log.error("the database doesn't answer", error=str(error).strip())  # noqa: TRY400 - where says nothing
        finally:
            self.done.set()
            connection.close()


_lock = Lock()
_last = Question()
_last.done.set()


def database_answers() -> bool:
    """Return within two seconds. All who ask at the same time share one question, so that probes can't use up
    the database's connections, nor threads while it hangs."""
    global _last  # noqa: PLW0603 - one in each process
    with _lock:
        if _last.done.is_set():
            _last = Question()
            # The call can't be interrupted. A thread that hangs is left behind, and keeps no process alive.
            Thread(target=_last.ask, name="probe", daemon=True).start()
        question = _last
    question.done.wait(max(0, question.asked_at + WAIT_SECONDS - time.monotonic()))
    return question.answered
