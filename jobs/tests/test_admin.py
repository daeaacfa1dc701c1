"""Jobs and attempts in the admin: to look at, never to write."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from conftest import World
from jobs.models import Attempt, Job
from jobs.tests import upstream as wire
from jobs.tests.upstream import Server, run

MODELS = ["job", "attempt"]


@pytest.fixture
def admin(world: World, client: Client, server: Server) -> Client:
    """A superuser, and a job with two attempts."""
    world.job()
    server.script.append(wire.error(500))
    run(server)
    run(server)
    client.force_login(User.objects.create_superuser("root@example.org"))
    return client


def address(model: str, page: str) -> str:
    row = Job.objects.get() if model == "job" else Attempt.objects.first()
    assert row
    return reverse(f"admin:jobs_{model}_{page}", args=[row.pk] if page in ("change", "delete") else [])


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_pages_open(admin: Client, model: str) -> None:
    assert admin.get(address(model, "changelist"), {"q": "photo"}).status_code == 200
    assert admin.get(address(model, "change")).status_code == 200


def test_the_attempts_say_what_came_of_them(admin: Client) -> None:
    text = admin.get(address("attempt", "changelist")).content.decode()
    assert "1.000000" in text
    assert "matched" in text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("page", ["add", "change", "delete"])
def test_nothing_is_written_there(admin: Client, model: str, page: str) -> None:
    before = [*Job.objects.values(), *Attempt.objects.values()]
    answers = {"state": "queued", "name": "other", "number": "9", "post": "yes"}
    assert admin.post(address(model, page), answers).status_code == 403
    assert [*Job.objects.values(), *Attempt.objects.values()] == before


@pytest.mark.parametrize("who", ["alice", "charlie"])
@pytest.mark.parametrize("model", MODELS)
def test_members_of_teams_have_no_business_there(admin: Client, world: World, who: str, model: str) -> None:
    admin.force_login(getattr(world, who))
    assert admin.get(address(model, "changelist")).status_code == 302
