"""What the log says, for which request, and what it never says."""

import json
import logging
import logging.config
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import request_id
from accounts.auth.login_links import login_link
from accounts.models import ApiKey, AuditEntry
from conftest import World, small_png
from jobs.events import subscriptions
from jobs.models import Attempt, Delivery, EventKind, Job
from jobs.tests import upstream as wire
from jobs.tests.api.programs import REMOVE, program_of, reach
from jobs.worker import background
from pixian_web import logs

pytestmark = pytest.mark.both_databases

REQUEST = "0f8fad5b-d9cb-469f-a165-70867728950e"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Return a function that returns all JSON lines so far, at LOG_LEVEL=DEBUG."""
    monkeypatch.setattr("django.utils.log.configure_logging", lambda *_: None)  # by a program's WSGI
    written = StringIO()
    handler = logging.StreamHandler(written)
    configured: Any = logging.config.DictConfigurator({"version": 1})
    handler.setFormatter(configured.configure_formatter(logs.formatter(logs.JSON)))
    levels = {name: logging.getLogger(name).level for name in logs.OURS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_a_line_has_date_level_logger_and_request(lines: Lines) -> None:
    with request_id.working_for(REQUEST):
        structlog.get_logger("jobs.example").warning("something", job=7)
        logging.getLogger("django.example").error("else: %s", 8)
    ours, djangos = lines()
    assert ours["timestamp"][:2] == "20"
    assert {name: ours[name] for name in ours if name != "timestamp"} == {
        "event": "something",
        "level": "warning",
        "logger": "jobs.example",
        "request_id": REQUEST,
        "job": 7,
    }
    assert (djangos["event"], djangos["level"], djangos["request_id"]) == ("else: 8", "error", REQUEST)


def test_a_traceback_names_no_variables(lines: Lines) -> None:
    password = "hunter2"
    try:
        _ = len(password) / 0
    except ZeroDivisionError:
        logging.getLogger("django.example").exception("failed")
    (line,) = lines()
    assert line["exception"].startswith("Traceback")
    assert "hunter2" not in line["exception"].replace('password = "hunter2"', "")


@pytest.mark.parametrize("sent", ["", "short", "x" * 37, "with blank", "naïve-identifier", "a\tb-c-d-e-f"])
def test_an_odd_or_missing_request_id_is_replaced(client: Client, db: None, sent: str) -> None:
    headers = {"X-Request-ID": sent} if sent else {}
    first, second = (client.get("/healthz", headers=headers).headers["X-Request-ID"] for _ in range(2))
    assert sent not in (first, second)
    assert len(first) == len(second) == 36
    assert first != second


def test_a_browsers_request_is_found_from_its_response_to_the_workers_last_line(
    client: Client, world: World, lines: Lines
) -> None:
    client.force_login(world.alice)
    headers = {"X-Request-ID": REQUEST, "HX-Request": "true"}
    picture = SimpleUploadedFile("photo.png", wire.picture("red"), "image/png")
    response = client.post("/t/aurora/upload/", {"image": picture, "batch": uuid4()}, headers=headers)
    assert response.headers["X-Request-ID"] == REQUEST
    attempt = Attempt.objects.get()
    assert attempt.http_request_id == REQUEST
    assert str(attempt.job.request_id) != REQUEST
    with wire.serving() as server:
        server.script += [wire.error(500), wire.answer()]
        wire.run(server)
        wire.run(server)
    said = [line for line in lines() if line["logger"].startswith("jobs.")]
    assert [line["event"] for line in said] == ["submitted", "job", "job"]
    assert {line["request_id"] for line in said} == {REQUEST}
    assert [line.get("attempt") for line in said] == [None, f"{attempt.job_id}/1", f"{attempt.job_id}/2"]
    again = Attempt.objects.get(number=2)
    assert again.http_request_id == REQUEST  # which the worker prepared for the same person


def test_a_programs_call_is_found_by_the_id_that_it_sent(
    committed_world: World, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = committed_world
    with wire.serving() as server, program_of(world.team, world.alice) as program:
        reach(monkeypatch, server.upstream)
        response = program.call(headers={"X-Request-ID": REQUEST, "Idempotency-Key": "another thing"})
        assert response.status_code == 200
        assert response.headers["X-Request-ID"] == REQUEST
    assert Attempt.objects.get().http_request_id == REQUEST
    (line,) = [line for line in lines() if line["event"] == "call"]
    assert (line["request_id"], line["job"]) == (REQUEST, Job.objects.get().pk)


def test_a_command_works_for_no_request(world: World) -> None:
    world.job()
    assert Attempt.objects.get().http_request_id is None
    assert not AuditEntry.objects.exclude(request_id="").exists()


def test_no_line_holds_a_secret(
    committed_world: World,
    client: Client,
    lines: Lines,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever people and programs do with their passwords, keys and links, at the level DEBUG."""
    world = committed_world
    settings.PIXIAN_API_SECRET = wire.CREDENTIALS.api_secret
    secrets = ["correct horse", wire.CREDENTIALS.api_secret, "wrong horse", "X" * 40]
    for password in ("wrong horse", "correct horse"):
        client.post(reverse("account_login"), {"login": "alice@example.org", "password": password})
    client.post(reverse("keys", args=["aurora"]), {"name": "shop", "scopes": ["cutouts"]})
    link = login_link(world.bob)
    secrets.append(link.rstrip("/").rpartition("/")[2])
    Client().get(link)
    Client().get(link.rstrip("/") + "-no/")
    webhook, webhook_secret = subscriptions.add(
        world.team, world.alice, "http://127.0.0.1:9/", [EventKind.JOB_FINISHED]
    )
    secrets.append(webhook_secret)
    secrets.append(subscriptions.rotate(webhook))
    with wire.serving() as server, program_of(world.team, world.alice) as program:
        secrets.append(program.credentials.api_secret)
        reach(monkeypatch, server.upstream)
        server.script += [wire.error(500), wire.answer()]
        program.call()
        program.call()
        program.http.get(f"/api/nothing?secret={program.credentials.api_secret}")
        program.http.post("/v1.0/removebg", headers={"X-Api-Key": "X" * 40, "Authorization": ""})
        program.http.post(REMOVE, auth=(program.credentials.api_id, "X" * 40))
        program.http.post(REMOVE, content=small_png())
    background.run_once("webhooks", lambda: False)
    assert Delivery.objects.filter(tries=1).exists()
    said = lines()
    text = json.dumps(said)
    assert len(said) > 10
    assert [secret for secret in secrets if secret in text] == []
    assert ApiKey.objects.filter(name="shop").exists()


def test_the_log_goes_to_a_file_too_if_one_is_named(tmp_path: Path) -> None:
    code = "import django, logging; django.setup(); logging.getLogger('jobs.x').warning('hello')"
    environment = {
        "DJANGO_SETTINGS_MODULE": "pixian_web.settings",
        "DATA_DIR": str(tmp_path / "data"),
        "LOG_FORMAT": "json",
        "LOG_FILE": str(tmp_path / "log"),
    }
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert json.loads((tmp_path / "log").read_text())["event"] == "hello"
