"""Run a Redis for tests, look into its queue, and point the Celery app at it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import pytest
from kombu import pools
from redis import Redis as Connection

from chaos.servers import NotStartedError, Redis, redis
from pixian_web import celery

QUEUE = "jobs"


@dataclass(frozen=True)
class Message:
    task: str
    expires: datetime | None


class Broker:
    """A Redis whose ``server`` may be killed and started again."""

    def __init__(self, server: Redis) -> None:
        self.server = server
        self.url = server.url

    def messages(self) -> list[Message]:
        """Return the waiting messages, the next one first."""
        with Connection.from_url(self.url) as connection:
            raw = [json.loads(text) for text in connection.lrange(QUEUE, 0, -1)]
        return [_message(message["headers"]) for message in reversed(raw)]

    def lose_all(self) -> None:
        with Connection.from_url(self.url) as connection:
            connection.flushall()


def _message(headers: dict[str, str | None]) -> Message:
    expires = headers["expires"]
    return Message(str(headers["task"]), datetime.fromisoformat(expires) if expires else None)


@contextmanager
def pointed_at(url: str) -> Iterator[None]:
    """Connect the app to this broker; its connections would otherwise last as long as the process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(celery.app.conf, "broker_url", url)
        patch.setattr(celery.app.conf, "broker_write_url", url)
        _forget_connections()
        try:
            yield
        finally:
            _forget_connections()


def _forget_connections() -> None:
    pools.reset()  # type: ignore[no-untyped-call]
    celery.app._after_fork()


@contextmanager
def running() -> Iterator[Broker]:
    """Start Redis, or skip the test if that is not possible."""
    try:
        with redis() as server, pointed_at(server.url):
            yield Broker(server)
    except NotStartedError as error:
        pytest.skip(f"LEFT OUT: {error}")
