"""What Prometheus gets: from every process, of every call, and from nobody without the token."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import prometheus_client.values
import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from conftest import World
from jobs import metrics
from jobs.metrics import files
from jobs.models import Job
from jobs.queue import claims, workers
from jobs.tests import upstream as wire
from pixian.protocol.errors import SlowDown
from pixian_web import metrics as site_metrics
from pixian_web import readiness

pytestmark = pytest.mark.both_databases

TOKEN = "a-token-of-some-length"
METRICS = (
    site_metrics._requests,
    site_metrics._seconds,
    metrics._calls,
    metrics._waits,
    metrics._results,
    metrics._deliveries,
)
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def _on(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.METRICS_TOKEN, settings.METRICS_DIR = TOKEN, tmp_path / "metrics"
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.ValueClass)
    monkeypatch.setattr(readiness, "_probes", {})
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    for metric in METRICS:
        monkeypatch.setattr(metric, "_metrics", {})
    files.share()
    yield
    while files._alive:
        files._alive.pop().close()


def scraped(client: Client) -> dict[str, float]:
    """Return each sample's value by its name and labels."""
    response = client.get("/metrics", headers=AUTHORIZED)
    assert response.status_code == 200
    found = text_string_to_metric_families(response.content.decode())
    samples = [sample for family in found for sample in family.samples]
    labels = [sorted(f"{name}={text}" for name, text in sample.labels.items()) for sample in samples]
    names = [" ".join([sample.name, *of]) for sample, of in zip(samples, labels, strict=True)]
    return dict(zip(names, (sample.value for sample in samples), strict=True))


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN])
def test_nobody_reads_them_without_the_token(client: Client, db: None, sent: str) -> None:
    response = client.get("/metrics", headers={"Authorization": sent} if sent else {})
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert b"pixian" not in response.content


def test_without_a_token_in_the_settings_there_are_none(client: Client, db: None, settings: Settings) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_requests_are_counted_by_route_and_never_by_path(client: Client, world: World) -> None:
    client.force_login(world.alice)
    for number in range(3):
        assert client.get(f"/t/aurora/jobs/{number + 700}/").status_code == 404
        client.get(f"/nowhere/{number}")
    client.generic("BREW", "/healthz")
    found = scraped(client)
    assert found["pixian_http_requests_total method=GET route=job status=404"] == 3
    assert found["pixian_http_requests_total method=GET route=none status=404"] == 3
    assert found["pixian_http_requests_total method=other route=healthz status=405"] == 1
    assert found["pixian_http_request_seconds_count method=GET route=job"] == 3
    assert not any("aurora" in name or "nowhere" in name for name in found)


def test_a_call_is_counted_by_its_outcome_and_time(client: Client, world: World) -> None:
    world.job()
    with wire.serving() as server:
        server.script += [wire.error(429, 1015), wire.answer()]
        assert wire.run(server)[1] == 5
        wire.run(server)
    found = scraped(client)
    assert found["pixian_upstream_call_seconds_count outcome=slow_down"] == 1
    assert found["pixian_upstream_call_seconds_count outcome=ok"] == 1
    assert found["pixian_upstream_wait_seconds_total origin=browser"] == 5
    assert found["pixian_results_stored_total origin=browser"] == 1
    assert found["pixian_credits account=spent"] > 0


def test_an_error_of_ours_is_no_outcome_of_the_upstreams() -> None:
    with pytest.raises(ZeroDivisionError), metrics.timing_call():
        _ = 1 / 0
    with pytest.raises(SlowDown), metrics.timing_call():
        raise SlowDown(429, 429, "")
    counted = {sample.labels["outcome"] for family in metrics._calls.collect() for sample in family.samples}
    assert counted == {"failed", "slow_down"}


def test_the_queue_the_ramp_and_the_disk_are_there(client: Client, world: World) -> None:
    workers.register("host:1", 2)
    world.job()
    world.job()
    assert claims.claim("host:1")
    Job.objects.filter(state="queued").update(run_after=timezone.now() - timedelta(minutes=2))
    found = scraped(client)
    assert (found["pixian_jobs state=queued"], found["pixian_jobs state=running"]) == (1, 1)
    assert (found["pixian_calls_in_flight"], found["pixian_calls_allowed"]) == (1, 5)
    assert 119 < found["pixian_queue_oldest_due_seconds"] < 180
    assert found["pixian_processes kind=worker"] == 1
    assert found["pixian_disk_free_bytes volume=files"] > 0
    assert (found["pixian_database_up"], found["pixian_reviews_waiting"]) == (1, 0)


def test_no_label_names_a_team_or_a_person(client: Client, world: World) -> None:
    world.job()
    text = client.get("/metrics", headers=AUTHORIZED).content.decode().lower()
    assert not re.search(r"aurora|alice|example\.org|photo", text)


def test_a_scrape_makes_few_queries(client: Client, world: World) -> None:
    scraped(client)
    with CaptureQueriesContext(connection) as queries:
        scraped(client)
    assert len(queries) <= 20


def test_while_the_database_is_away_the_processes_figures_are_still_there(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("connection refused")

    client.get("/healthz")
    monkeypatch.setattr("pixian_web.health.components.database", away)
    found = scraped(client)
    assert found["pixian_database_up"] == 0
    assert found["pixian_http_requests_total method=GET route=healthz status=200"] == 1
    assert "pixian_jobs state=queued" not in found


OTHER_PROCESS = """
import django
django.setup()
from pathlib import Path
from django.conf import settings
settings.METRICS_DIR = Path({folder!r})
from jobs import metrics
from jobs.metrics import files
files.share()
metrics.count_result("browser")
print("counted", flush=True)
input()
"""


def test_what_a_killed_process_counted_stays_and_its_files_go(
    client: Client, db: None, settings: Settings, tmp_path: Path
) -> None:
    folder = Path(settings.METRICS_DIR)
    environment = os.environ | {"METRICS_TOKEN": TOKEN, "DATA_DIR": str(tmp_path / "data")}
    environment["DJANGO_SETTINGS_MODULE"] = "pixian_web.settings"
    metrics.count_result("browser")
    command = [sys.executable, "-c", OTHER_PROCESS.format(folder=str(folder))]
    with subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, text=True) as process_:
        assert process_.stdout
        assert process_.stdout.readline() == "counted\n"
        assert scraped(client)["pixian_results_stored_total origin=browser"] == 2
        assert len(list(folder.glob("*.alive"))) == 2
        process_.kill()
    files.add_up_ended(folder)
    assert len(list(folder.glob("*.alive"))) == 1
    assert {path.name for path in folder.glob("*_ended.db")} == {"counter_ended.db", "histogram_ended.db"}
    assert len(list(folder.glob("*.db"))) == 4
    metrics.count_result("browser")
    files.add_up_ended(folder)  # once more changes nothing
    assert scraped(client)["pixian_results_stored_total origin=browser"] == 3


def test_without_room_for_its_files_a_process_starts_all_the_same(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    settings.METRICS_DIR = tmp_path / "elsewhere"
    before = prometheus_client.values.ValueClass
    files.share()
    assert prometheus_client.values.ValueClass is before
    assert "left out of the metrics" in caplog.text
