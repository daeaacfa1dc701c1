import errno
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import Mock

import pytest
from celery import beat, signals

from pixian_web.celery import app


class Interrupted(beat.Scheduler):  # type: ignore[misc]  # Celery has no types
    """Is told to end amid a message, whose failure hides it."""

    told = False

    def tick(self, *_: Any, **__: Any) -> int:
        assert not self.told, "it goes on"
        self.told = True
        with suppress(SystemExit):
            signal.raise_signal(signal.SIGTERM)
        return 0


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_beat_ends_even_if_a_message_that_fails_hides_that_it_was_told_to() -> None:
    beat.Service(app, scheduler_cls=Interrupted).start()


def test_a_worker_that_cannot_start_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery would log it and go on without what was to be started then."""
    monkeypatch.setattr("pixian_web.tasks.leftovers.sweep", Mock(side_effect=OSError(errno.ENOSPC, "full")))
    with pytest.raises(SystemExit) as ended:
        signals.worker_init.send(sender=Mock(concurrency=app.conf.worker_concurrency))
    assert ended.value.code == 1
