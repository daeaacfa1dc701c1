"""The files in ``deploy/`` start the processes that the Procfile lists, with settings that exist."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest
import yaml

from pixian.server.waitress_channel import Limits
from pixian_web import gunicorn, processes
from tests.site.test_house import PRODUCT

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
COMMON = "pixian-.service.d/common.conf"
INSTALLED = "/opt/pixian-web/"
OF_OTHER_PROGRAMS = {
    *(
        "COMPOSE_PROFILES",
        "HOME",
        "MALLOC_ARENA_MAX",
        "POSTGRES_PASSWORD",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
    ),
}

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: s for name, s in COMPOSE["services"].items() if s["image"] == "pixian-web:local"}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PREPARE = ".venv/bin/python manage.py prepare"


def procfile() -> dict[str, str]:
    """Return the command of each process."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {name: command.removeprefix(" exec ") for name, _, command in (li.partition(":") for li in lines)}


def commands_in_compose() -> dict[str, str]:
    return {name: " ".join(service["command"]) for name, service in OURS.items()}


def directive(unit: str, name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)
    return str(value)


@pytest.mark.house
def test_each_process_has_a_unit_with_its_command() -> None:
    commands = procfile() | {"prepare": PREPARE}
    assert {path.name for path in UNITS.glob("*.service")} == {f"pixian-{name}@.service" for name in commands}
    for name, command in commands.items():
        assert directive(f"pixian-{name}@.service", "ExecStart") == INSTALLED + command


@pytest.mark.house
def test_each_process_that_a_broker_needs_has_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CELERY_BROKER_URL", COMPOSE["x-app"]["environment"]["CELERY_BROKER_URL"])
    monkeypatch.setattr(processes, "PIXIAN_EMBEDDED", True)
    needed = sorted([PREPARE, *(procfile()[name] for name in processes.needed())])
    assert sorted(commands_in_compose().values()) == needed


@pytest.mark.house
def test_what_the_commands_name_exists() -> None:
    for command in procfile().values():
        for word in command.split():
            module = ROOT / f"{word.replace('.', '/')}.py"
            is_module = re.fullmatch(r"(pixian_web|engine)\.\w+", word)
            assert not is_module or module.exists(), word
            assert not word.endswith(".py") or (ROOT / word).exists(), word
    assert all((ROOT / name).exists() for name in re.findall(r"deploy/\w+\.py", DOCKERFILE))


@pytest.mark.house
def test_every_setting_named_there_exists() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    example = re.findall(r"^#?([A-Z_]+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE)
    in_image = re.findall(r"^(?:ENV|   ) ([A-Z_]+)=", DOCKERFILE, re.MULTILINE)
    in_units = [word.partition("=")[0] for word in directive(COMMON, "Environment").split()]
    in_compose = [name for service in OURS.values() for name in service["environment"]]
    assert in_image
    named = {*example, *in_image, *in_units, *in_compose}
    assert named - documented <= OF_OTHER_PROGRAMS


@pytest.mark.house
def test_every_image_is_pinned_to_a_release() -> None:
    images = {service["image"] for service in COMPOSE["services"].values()} - {"pixian-web:local"}
    images |= set(re.findall(r"^ARG DEBIAN=(\S+)", DOCKERFILE, re.MULTILINE))
    assert len(images) == 4
    for image in images:
        assert re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?(-\w+)?", image), image


@pytest.mark.house
def test_only_the_product_goes_into_the_image() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    named = {line[1:] for line in lines if line.startswith("!")}
    assert {name for name in named if (ROOT / name / "__init__.py").exists()} == set(PRODUCT)
    assert {"**/.env", "**/tests"} <= set(lines)


@pytest.mark.house
def test_nothing_cuts_a_paid_call_off_or_refuses_its_body() -> None:
    """Web finishes its calls within its own time-out, so whatever stops or passes it on waits as long."""
    longest = f"{gunicorn.timeout}s"
    assert {service["stop_grace_period"] for service in OURS.values()} == {longest}
    assert f"{directive('pixian-.service.d/common.conf', 'TimeoutStopSec')}s" == longest
    nginx, caddy = ((DEPLOY / name).read_text() for name in ("nginx.conf", "Caddyfile"))
    for name in ("proxy_read_timeout", "proxy_send_timeout"):
        assert re.search(rf"{name} {longest};", nginx)
    assert f"response_header_timeout {longest}" in caddy
    assert f"client_max_body_size {Limits.body_bytes >> 20}m;" in nginx
    assert f"max_size {Limits.body_bytes >> 20}MiB" in caddy
    assert COMPOSE["services"]["proxy"]["stop_grace_period"] == longest


@pytest.mark.parametrize(
    ("chosen", "bind"),
    [
        ({}, "127.0.0.1:8000"),
        ({"BIND_ADDRESS": "0.0.0.0", "PORT": "8001"}, "0.0.0.0:8001"),
        ({"BIND_ADDRESS": "::"}, "[::]:8000"),
    ],
)
def test_web_listens_on_the_address_that_is_set(chosen: dict[str, str], bind: str) -> None:
    command = [sys.executable, "-c", "from pixian_web import gunicorn; print(gunicorn.bind)"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | chosen, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == bind


class Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: Any) -> Iterator[None]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


def probe(*arguments: str, port: int = 1) -> tuple[int, str]:
    command = [sys.executable, "deploy/probe.py", *arguments]
    env = os.environ | {"PORT": str(port)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize(("status", "result"), [(200, (0, "")), (503, (1, "status 503"))])
def test_the_probe_says_if_web_responds(
    monkeypatch: pytest.MonkeyPatch, status: int, result: tuple[int, str]
) -> None:
    monkeypatch.setattr(Health, "status", status)
    server = HTTPServer(("127.0.0.1", 0), Health)
    with serving(server):
        assert probe(port=server.server_port) == result


def test_the_probe_says_if_the_engine_responds(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    with serving(UnixStreamServer(path, Health)):
        assert probe(path) == (0, "")
    assert probe(path)[0] == 1  # the socket is still there, and nobody listens


def test_the_probe_fails_if_nobody_listens() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        status, complaint = probe(port=reserved.getsockname()[1])
    assert status == 1
    assert complaint.startswith("no response")
