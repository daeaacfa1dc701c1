"""An owner takes away all that the team owns, as one ZIP that is written while it is sent."""

import csv
import io
import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, default_storage
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import Transfer
from conftest import World
from jobs.models import Backdrop, Job
from jobs.retention import team_export
from jobs.tests.retention.erased import PICTURE, cut_out, erased, purge_now, reused
from jobs.tests.upstream import CUT_OUT, Server

pytestmark = pytest.mark.both_databases


def exported(world: World) -> ZipFile:
    return ZipFile(io.BytesIO(b"".join(team_export.stream(world.team))))


def table(archive: ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(name).decode("utf-8-sig"), newline="")))


def manifest(archive: ZipFile) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(archive.read("manifest.json"))
    return told


def test_all_of_it_is_in_there_once(world: World, server: Server) -> None:
    job = cut_out(world, server)
    again = reused(world)
    wall = default_storage.save("aurora/backdrops/wall.png", ContentFile(b"a wall"))
    Backdrop.objects.create(
        team=world.team, name="wall", file=wall, sha256="0", width=1, height=1, added_by=world.bob
    )
    archive = exported(world)
    assert archive.testzip() is None
    assert archive.read(f"pictures/{job.pk}/source.png") == PICTURE
    assert archive.read(f"pictures/{job.pk}/result.png") == CUT_OUT
    assert archive.read(f"backgrounds/{Backdrop.objects.get().pk}.png") == b"a wall"
    assert not any(name.startswith(f"pictures/{again.pk}/") for name in archive.namelist())
    files = [(row["job"], row["kind"], row["shows_files_of"]) for row in table(archive, "files.csv")]
    assert files == [
        (str(job.pk), "source", ""),
        (str(job.pk), "result", ""),
        (str(again.pk), "source", str(job.pk)),
        (str(again.pk), "result", str(job.pk)),
    ]
    names = set(archive.namelist())
    assert all(row["file"] in names for row in table(archive, "files.csv"))
    assert {row["name"] for row in table(archive, "jobs.csv")} == {"secret.png", "again.png"}
    assert [row["charged"] for row in table(archive, "attempts.csv")] == ["1"]
    assert len(table(archive, "ledger.csv")) == Transfer.objects.filter(team=world.team).count()
    people = {row["email"] for row in table(archive, "people.csv")}
    assert people == {"alice@example.org", "bob@example.org", "vera@example.org"}
    assert (manifest(archive)["pictures"], manifest(archive)["files"]) == (2, 3)
    assert manifest(archive)["missing"] == []


def test_what_was_deleted_is_a_row_without_a_picture(world: World, server: Server) -> None:
    job = cut_out(world, server)
    again = reused(world)
    erased(world, job)
    archive = exported(world)
    assert archive.read(f"pictures/{again.pk}/source.png") == PICTURE  # whose files are still there
    erased(world, again)
    purge_now()
    archive = exported(world)
    assert not any(name.startswith("pictures/") for name in archive.namelist())
    assert {row["id"] for row in table(archive, "jobs.csv")} == {str(job.pk), str(again.pk)}


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_file_that_cannot_be_had_is_named_and_the_rest_is_there(
    world: World, server: Server, is_lost: bool
) -> None:
    job = cut_out(world, server)
    default_storage.delete(str(job.result.name))
    if not is_lost:
        Path(job.result.path).mkdir()  # which nobody can open as a file
    archive = exported(world)
    assert manifest(archive)["missing"] == [str(job.result.name)]
    assert archive.read(f"pictures/{job.pk}/source.png") == PICTURE


def test_nothing_of_another_team_is_in_there(world: World, server: Server) -> None:
    cut_out(world, server)
    other = world.charlie.memberships.get().team
    archive = ZipFile(io.BytesIO(b"".join(team_export.stream(other))))
    assert not any(name.startswith("pictures/") for name in archive.namelist())
    assert table(archive, "jobs.csv") == table(archive, "attempts.csv") == []
    assert [row["email"] for row in table(archive, "people.csv")] == ["charlie@example.org"]


def test_it_is_read_as_it_is_sent(world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is opened when its turn comes, and closed behind it: never two at once."""
    for _ in range(2):
        cut_out(world, server)
    opened, most = [0], [0]
    real = Storage.open

    def counting(self: Any, name: str, *args: Any) -> Any:
        file = real(self, name, *args)
        close = file.close
        opened[0] += 1
        most[0] = max(most[0], opened[0])

        def closing() -> None:
            opened[0] -= 1
            close()

        vars(file)["close"] = closing
        return file

    monkeypatch.setattr(Storage, "open", counting)
    content = team_export.stream(world.team)
    next(content)
    assert most == [0]
    assert b"".join(content)
    assert (opened, most) == ([0], [1])


def test_an_owner_downloads_it_and_nobody_else(world: World, client: Client, server: Server) -> None:
    job = cut_out(world, server)
    address = reverse("export_team", args=["aurora"])
    for user, status in [(world.bob, 403), (world.charlie, 404)]:
        client.force_login(user)
        assert client.get(address).status_code == status
    client.force_login(world.alice)
    assert address in client.get(reverse("retention", args=["aurora"])).content.decode()
    assert b"".join(client.head(address)) == b""
    response = client.get(address)
    assert response.headers["Content-Disposition"].startswith('attachment; filename="aurora-')
    archive = ZipFile(io.BytesIO(b"".join(response)))
    assert archive.read(f"pictures/{job.pk}/source.png") == PICTURE


def test_the_command_writes_it_to_the_standard_output(
    world: World, server: Server, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    cut_out(world, server)
    call_command("export_team", "aurora")
    archive = ZipFile(io.BytesIO(capfdbinary.readouterr().out))
    assert manifest(archive)["pictures"] == Job.objects.count() == 1
    with pytest.raises(CommandError, match="no team"):
        call_command("export_team", "nowhere")
