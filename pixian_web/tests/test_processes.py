"""Which processes the settings ask for."""

import pytest

from pixian_web import processes


@pytest.mark.parametrize(
    ("broker", "embedded", "needed"),
    [
        ("", True, ["web", "worker", "engine"]),
        ("", False, ["web", "worker"]),
        ("redis://127.0.0.1/0", True, ["web", "celery", "beat", "engine"]),
        ("redis://127.0.0.1/0", False, ["web", "celery", "beat"]),
    ],
)
def test_no_process_is_started_for_nothing(
    monkeypatch: pytest.MonkeyPatch, broker: str, embedded: bool, needed: list[str]
) -> None:
    monkeypatch.setattr(processes, "CELERY_BROKER_URL", broker)
    monkeypatch.setattr(processes, "PIXIAN_EMBEDDED", embedded)
    assert processes.needed() == needed
