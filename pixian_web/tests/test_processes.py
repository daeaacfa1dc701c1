"""Which processes the settings ask for, and whether they could start."""

import socket

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


def test_a_free_port_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        monkeypatch.setattr(processes, "PORT", reserved.getsockname()[1])
    processes.require_port()


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
def test_a_port_that_is_taken_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, address: str, host: str
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(processes, "BIND_ADDRESS", address)
        monkeypatch.setattr(processes, "PORT", port)
        with pytest.raises(SystemExit, match=r"in use\. Stop what uses it.*PORT=8001") as refused:
            processes.require_port()
    assert str(refused.value).startswith(f"Web can't listen on {address}:{port}: ")
