from collections.abc import Iterator

import pytest

from jobs.tests.events.receiver import Receiver, receiving


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving(monkeypatch) as receiver:
        yield receiver
