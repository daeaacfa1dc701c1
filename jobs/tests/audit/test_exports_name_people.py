"""Each file for programs gives a person one address, in every language, even once they are deleted."""

import io
from zipfile import ZipFile

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from accounts import audit_log
from accounts.audit_log import Action
from accounts.teams import deletion
from conftest import World
from jobs.retention import team_export
from jobs.tests.upstream import Server, run

pytestmark = pytest.mark.both_databases

FILES = ("history_csv", "audit_csv", "statement_csv", "statement_json", "usage_csv")


@pytest.fixture
def former(world: World, server: Server) -> str:
    """The address of bob, who spent and decided before his account was deleted."""
    world.job(user=world.bob)
    run(server)
    audit_log.record(Action.RETENTION, "team:1", actor=world.bob, team=world.team)
    audit_log.record(Action.ERASE, "team:1", actor=None, team=world.team)
    deletion.delete_person(world.bob, world.bob)
    world.bob.refresh_from_db()
    return world.bob.email


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_person_has_one_name_in_every_file(
    world: World, client: Client, former: str, name: str
) -> None:
    client.force_login(world.alice)
    english, french = (
        b"".join(client.get(reverse(name, args=["aurora"]), headers={"Accept-Language": language})).decode()
        for language in ("en", "fr")
    )
    assert english == french
    assert former in english
    assert f"Person {world.bob.pk}" not in english


def exported(world: World, language: str) -> dict[str, bytes]:
    with translation.override(language):
        archive = ZipFile(io.BytesIO(b"".join(team_export.stream(world.team))))
    return {name: archive.read(name) for name in archive.namelist() if name.endswith(".csv")}


def test_so_it_is_in_what_a_team_takes_along(world: World, former: str) -> None:
    tables = exported(world, "fr")
    assert tables == exported(world, "en")
    for name in ("jobs.csv", "ledger.csv"):
        assert former.encode() in tables[name]
    assert b",owner," in tables["people.csv"]
