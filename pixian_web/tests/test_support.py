"""What a support bundle tells, and what it never contains."""

import io
import json
import logging.config
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from accounts.api_keys import keys
from conftest import World, small_png
from engine.environment import Environment
from jobs.events import subscriptions
from jobs.models import Job, Verification
from pixian_web import logs, readiness, support
from pixian_web.env import SiteEnvironment

SECRETS = {
    "SECRET_KEY": "hush-the-key-that-signs",
    "PIXIAN_API_SECRET": "hush-the-upstreams-secret",
    "METRICS_TOKEN": "hush-the-token-of-metrics",
}
URLS = {
    "DATABASE_URL": "postgres://user:hush-data@db.internal/name?sslpassword=hush-ssl",
    "EMAIL_URL": "smtp+tls://me%40example.org:hush-mail@mail.example.org:587",
    "CELERY_BROKER_URL": "redis://:hush-broker@queue.internal:6379/0",
}
NAME = "birthday of a customer.png"


@pytest.fixture
def bundle(
    world: World, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Return the files of a bundle of an instance full of what it mustn't contain."""
    monkeypatch.setattr(readiness, "_probes", {})
    monkeypatch.setattr(Environment, "readings", dict(Environment.readings))
    env = SiteEnvironment()
    for name, value in (SECRETS | URLS | {"EMAIL_FROM": "Studio <studio@example.org>"}).items():
        monkeypatch.setenv(name, value)
    for name, value in SECRETS.items():
        env.secret(name)
        setattr(settings, name, value)
    env.database("DATABASE_URL", "")
    env.email("EMAIL_URL", "")
    env.url("CELERY_BROKER_URL", "", "redis")
    env.text("EMAIL_FROM", "")
    settings.METRICS_DIR = tmp_path / "metrics"
    settings.LOG_FILE = str(tmp_path / "log")
    write_log(Path(settings.LOG_FILE))
    job = world.job(small_png())
    Job.objects.filter(pk=job.pk).update(name=NAME, run_after=timezone.now() - timedelta(hours=1))
    Verification.objects.create(findings=[[7, f"job 1: {job.source.name} ({NAME}) is missing"], [7, "x"]])
    subscriptions.add(world.team, world.alice, "https://hooks.example.org/hush-hook", [])
    keys.create(world.team, world.alice, "shop")
    return dict(support.contents())


def write_log(path: Path) -> None:
    formatter = logging.config.DictConfigurator({"version": 1}).configure_formatter(logs.formatter(logs.JSON))
    records = [
        logging.LogRecord("jobs.worker.run", 20, "", 1, "job", (), None),
        logging.LogRecord("django.request", 30, "", 1, "Not Found: /t/aurora/%s", (NAME,), None),
        logging.LogRecord("jobs.calls.outcomes", 40, "", 1, "a source is gone", (), None),
    ]
    lines = [formatter.format(record) for record in records]
    line = json.loads(lines[2]) | {"error": f"aurora/{NAME}", "user": "bob@example.org", "job": 12}
    line["exception"] = f"Traceback\n  File\nFileNotFoundError: {NAME}"
    path.write_text("\n".join([lines[0], lines[1], json.dumps(line), f"no JSON, but {NAME}"]) + "\n")


def test_it_holds_no_secret_address_picture_or_name(bundle: dict[str, str]) -> None:
    everything = "".join(bundle.values())
    for text in ("hush", "@", NAME, "birthday", "Aurora", "aurora", "alice", "\x89PNG"):
        assert text not in everything, text


def test_what_it_withholds_was_there_to_be_found(
    bundle: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the last look, an address in a setting is in it."""
    monkeypatch.setattr(support, "_without_secrets", str)
    assert "studio@example.org" in dict(support.contents())["settings.json"]


def test_it_tells_what_helps(bundle: dict[str, str]) -> None:
    assert json.loads(bundle["versions.json"])["packages"]["Django"]
    assert json.loads(bundle["settings.json"])["DATABASE_URL"]["from"] == "environment"
    assert "jobs 0001_initial: applied\n" in bundle["migrations.txt"]
    assert json.loads(bundle["health.json"])["Queue"]["says"].startswith("1 waiting")
    assert json.loads(bundle["verification.json"])["findings by invariant"] == {"7": 2}
    assert 'pixian_jobs{state="queued"} 1.0' in bundle["figures.txt"]
    first, *lines = bundle["log.txt"].splitlines()
    assert first.startswith("1 lines aren't JSON")
    assert [json.loads(line).get("event") for line in lines] == ["job", None, "a source is gone"]
    assert json.loads(lines[2])["exception"] == "FileNotFoundError"


def test_a_part_that_fails_stops_no_other(bundle: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise RuntimeError("hush")

    monkeypatch.setitem(support.PARTS, "migrations.txt", fail)
    told = dict(support.contents())
    assert told["migrations.txt"] == "RuntimeError\n"
    assert told.keys() == bundle.keys()


def test_without_a_log_file_it_says_so(db: None, settings: Settings) -> None:
    settings.LOG_FILE = ""
    assert "LOG_FILE isn't set" in dict(support.contents())["log.txt"]


def test_the_command_writes_a_zip_and_nothing_to_a_terminal(
    bundle: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.BytesIO()
    stdout = SimpleNamespace(buffer=output, isatty=lambda: False, flush=lambda: None)
    monkeypatch.setattr(sys, "stdout", stdout)
    call_command("support_bundle")
    assert ZipFile(output).namelist() == list(bundle)
    stdout.isatty = lambda: True
    with pytest.raises(CommandError, match="bundle"):
        call_command("support_bundle")
