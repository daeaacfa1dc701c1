"""Record the statements that any thread sends to the database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db.backends.utils import CursorWrapper

from jobs.calls import prices
from jobs.queue import concurrency

FRAMES = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE SAVEPOINT")
"""They frame the statements of a transaction. psycopg sends its own unseen, so none are counted."""


def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any earlier call be less than a second ago, however slow the machine is."""
    monkeypatch.setattr(prices, "KEPT_SECONDS", 600)
    monkeypatch.setattr(prices, "_kept", {})
    monkeypatch.setattr(concurrency, "KNOWN_FREE_SECONDS", 600)
    monkeypatch.setattr(concurrency, "RECORDED_EVERY", timedelta(minutes=10))
    monkeypatch.setattr(concurrency, "call_limit", concurrency.CallLimit())


@contextmanager
def recorded_statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the list that fills with every thread's statements, without those that frame a transaction.

    django_assert_num_queries sees one connection, and an API call's statements come from two threads.
    """
    statements: list[str] = []
    execute: Callable[..., Any] = getattr(CursorWrapper, "_execute_with_wrappers")  # noqa: B009 - not in stubs

    def record(cursor: Any, sql: str, params: Any, *, many: bool, executor: Callable[..., Any]) -> Any:
        if not sql.lstrip().startswith(FRAMES):
            statements.append(" ".join(sql.split()))
        return execute(cursor, sql, params, many=many, executor=executor)

    with monkeypatch.context() as patched:
        patched.setattr(CursorWrapper, "_execute_with_wrappers", record)
        yield statements
