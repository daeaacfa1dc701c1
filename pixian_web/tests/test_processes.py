"""Which processes the settings ask for, and whether they could start."""

import socket
import subprocess
import sys
from pathlib import Path

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


def test_no_process_gets_settings_that_another_parser_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET_KEY=k3#v8x\nOIDC_NAME=Acme 'Login\nDATA_DIR=file\n")
    program = "import os; print([os.environ.get(n) for n in ('SECRET_KEY', 'OIDC_NAME', 'DATA_DIR')])"
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "Procfile").write_text(f"web: exec {sys.executable} program.py\n")
    honcho = subprocess.run(
        [
            str(Path(sys.executable).with_name("honcho")),
            "start",
            *processes.arguments()[: -len(processes.needed())],
            "web",
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "DATA_DIR": "environment"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "[None, None, 'environment']" in honcho.stdout


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
