"""Reporting a finished result as bad, on its page."""

from typing import Any

import pytest
from django.test import Client

from accounts.tests.teams.team_pages import log_in, page, text, told
from conftest import World
from jobs.models import BadResult, Job
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases


@pytest.fixture
def job(world: World, server: Server) -> Job:
    world.job(user=world.bob)
    return run(server)[0]


def report(client: Client, world: World, job: Job, note: str = "half of the shoe is missing") -> Any:
    return client.post(page(world, "report_result", job.pk), {"note": note}, follow=True)


def test_a_member_reports_a_result_once_and_reads_its_state(world: World, client: Client, job: Job) -> None:
    log_in(client, "bob")
    assert "Report as bad" in text(client.get(job.get_absolute_url()))
    shown = report(client, world, job, " <b>half</b> of it ")
    assert "Reported." in told(shown)
    assert "“&lt;b&gt;half&lt;/b&gt; of it”" in text(shown)
    assert "Nobody has answered yet." in text(shown)
    assert "Report as bad" not in text(shown)
    assert "reported already" in told(report(client, world, job))
    assert BadResult.objects.count() == 1


@pytest.mark.parametrize("note", ["", "  ", "x" * 401])
def test_a_note_is_needed(world: World, client: Client, job: Job, note: str) -> None:
    report(log_in(client, "bob"), world, job, note)
    assert not BadResult.objects.exists()


def test_only_a_finished_result_is_reported(world: World, client: Client) -> None:
    waiting = world.job()
    assert "no result yet" in told(report(log_in(client, "bob"), world, waiting))
    assert "Report as bad" not in text(client.get(waiting.get_absolute_url()))
    assert not BadResult.objects.exists()


@pytest.mark.parametrize(("who", "status"), [("vera", 403), ("charlie", 404)])
def test_others_report_nothing(world: World, client: Client, job: Job, who: str, status: int) -> None:
    assert report(log_in(client, who), world, job).status_code == status
    assert not BadResult.objects.exists()
