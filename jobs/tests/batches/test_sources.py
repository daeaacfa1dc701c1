"""Pictures by their addresses: fetched in the background, each once, and never from our own network."""

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.models import Membership, Role
from conftest import World, small_png
from jobs.batches import sources
from jobs.models import BatchFile, Job
from jobs.storage import files
from jobs.tests.browser import SCRIPT, begin
from jobs.tests.storage.disks import full
from jobs.worker import background
from pixian.server.url_fetcher import Fetched, Fetcher, FetchLimits
from pixian.tests.server.test_url_fetcher import (
    CLOSED,
    FORBIDDEN,
    NO_TLS,
    PUBLIC,
    PUBLIC_TOO,
    Internet,
    Site,
    answer,
    drip,
    endless,
    lookup,
    moved,
    serving,
)

SITE = "http://pictures.example"
PICTURE = small_png(30, 20)
BAD = [
    "http://pictures.example/gone.png",
    "http://pictures.example/page",
    "http://pictures.example/broken.png",
    "http://pictures.example/endless.png",
    "http://pictures.example/slow.png",
    "http://closed.example/a.png",
    "http://inside.example/a.png",
    "http://pictures.example:22/a.png",
    "http://u:p@pictures.example/a.png",
    "http://pictures.example/inside.png",
]


@dataclass
class Web:
    """A small internet: a site with pictures, and a canary wherever nobody may go."""

    site: Site
    canary: Site
    internet: Internet

    def put(self, path: str, content: bytes = PICTURE, **headers: str) -> str:
        self.site.answers[path] = answer(content, **headers)
        return f"{SITE}/{path}"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with serving({}) as site, serving({"": answer(b"secret")}) as canary, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = dict.fromkeys([PUBLIC, PUBLIC_TOO], site.port)
        ports |= dict.fromkeys(CLOSED, closed.getsockname()[1])
        internet = Internet(ports, canary.port)
        limits = FetchLimits(max_bytes=100_000, seconds=1, connect_seconds=1)
        fetcher = Fetcher(limits, resolve=lookup, tls=NO_TLS, wire=internet)
        monkeypatch.setattr(sources, "fetcher", lambda: fetcher)
        yield Web(site, canary, internet)


@pytest.fixture
def bob(client: Client, world: World) -> Client:
    client.force_login(world.bob)
    return client


def add(client: Client, batch: UUID, *addresses: str) -> Any:
    data = {"urls": "\n".join(addresses)}
    return client.post(reverse("batch_urls", args=["aurora", batch]), data, headers=SCRIPT)


def fetch_all() -> None:
    """Fetch until nothing is left to try, without waiting for the pauses in between."""
    for _ in range(sources.MAX_FETCHES):
        sources.fetch_due()
        BatchFile.objects.filter(fetch_after__isnull=False).update(fetch_after=timezone.now())


def problems() -> dict[str, tuple[str, str]]:
    refused = BatchFile.objects.refused()
    return {file.url: (file.problem, file.message) for file in refused}


def test_listed_addresses_become_pictures_of_their_batch(world: World, bob: Client, web: Web) -> None:
    batch = begin(bob)
    first, second = web.put("shoes/red%20shoe.png?size=big"), web.put("b.png")
    response = add(bob, batch, first, "", f"  {second}  ", first)
    assert response.json() == {"added": 2, "duplicates": 1, "invalid": []}
    assert not Job.objects.exists()

    assert background.KINDS["addresses"](lambda: False) == 2
    jobs = Job.objects.order_by("number")
    assert [(job.number, job.name, job.state) for job in jobs] == [
        *((1, "red shoe.png", "queued"), (2, "b.png", "queued"))
    ]
    assert {(job.batch_id, job.created_by) for job in jobs} == {(batch, world.bob)}
    assert not BatchFile.objects.filter(fetch_after__isnull=False).exists()
    assert sources.fetch_due() == 0
    assert add(bob, batch, first).json() == {"added": 0, "duplicates": 1, "invalid": []}


def test_each_bad_address_says_what_happened_and_the_rest_goes_on(bob: Client, web: Web) -> None:
    web.put("page", b"<html>", Content_Type="text/html")
    web.put("broken.png", PICTURE[:60])
    web.site.answers["endless.png"] = endless
    web.site.answers["slow.png"] = drip(answer(b"", Content_Length="100000"), b"x")
    web.site.answers["inside.png"] = moved("http://127.0.0.1/a.png")
    good = web.put("good.png")
    add(bob, begin(bob), *BAD, good)
    fetch_all()

    assert Job.objects.get().name == "good.png"
    found = problems()
    assert {url.removeprefix(SITE): problem for url, (problem, _) in found.items()} == {
        "/gone.png": "unreachable",
        "/page": "unreadable",
        "/broken.png": "unreadable",
        "/endless.png": "too_large",
        "/slow.png": "unreachable",
        "http://closed.example/a.png": "unreachable",
        "http://inside.example/a.png": "unreachable",
        ":22/a.png": "forbidden",
        "http://u:p@pictures.example/a.png": "forbidden",
        "/inside.png": "unreachable",
    }
    assert all(message.endswith(".") for _, message in found.values())
    assert not BatchFile.objects.filter(fetch_after__isnull=False).exists()


def test_no_address_leads_into_our_network(bob: Client, web: Web) -> None:
    """E18 for lists: every way to write a private address, 0 connections."""
    response = add(bob, begin(bob), *(f"http://{host}/a.png" for host in FORBIDDEN.split()))
    assert response.json()["added"] > 50
    fetch_all()
    assert not Job.objects.exists()
    assert BatchFile.objects.missing().count() == 0
    assert web.canary.visits() == 0
    assert web.internet.dialled == []


def test_an_unguarded_fetcher_gets_there(bob: Client, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    unguarded = Fetcher(networks=(ip_network("0.0.0.0/0"),), resolve=lookup, tls=NO_TLS, wire=web.internet)
    monkeypatch.setattr(sources, "fetcher", lambda: unguarded)
    add(bob, begin(bob), "http://10.0.0.1/a.png")
    fetch_all()
    assert web.canary.visits() > 0


def test_the_operators_own_networks_are_those_of_the_settings(settings: Settings) -> None:
    sources.fetcher.cache_clear()
    settings.FETCH_NETWORKS, settings.FETCH_PORTS = (ip_network("10.0.0.0/8"),), frozenset({80})
    fetcher = sources.fetcher()
    assert (fetcher.networks, fetcher.ports) == (settings.FETCH_NETWORKS, settings.FETCH_PORTS)
    sources.fetcher.cache_clear()


def test_a_server_that_is_away_for_a_moment_is_tried_again(bob: Client, web: Web) -> None:
    add(bob, begin(bob), f"{SITE}/a.png")
    assert sources.fetch_due() == 1
    file = BatchFile.objects.get()
    assert (file.fetches, file.problem) == (1, "")
    assert timedelta(seconds=10) < (file.fetch_after or timezone.now()) - timezone.now() < sources.BACKOFF[0]
    assert sources.fetch_due() == 0

    web.put("a.png")
    BatchFile.objects.update(fetch_after=timezone.now())
    sources.fetch_due()
    assert Job.objects.count() == 1


def test_a_fault_of_ours_is_no_try_of_theirs(bob: Client, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    add(bob, begin(bob), web.put("a.png"))
    with monkeypatch.context() as patch:
        patch.setattr(files, "put", full)
        sources.fetch_due()
    file = BatchFile.objects.get()
    assert (file.fetches, file.problem, bool(file.fetch_after)) == (0, "", True)
    fetch_all()
    assert Job.objects.count() == 1


class OneThatFails(Fetcher):
    """Fails in its own way for the addresses in ``errors``."""

    errors: ClassVar[dict[str, Exception]] = {}

    def fetch(self, url: str, *more: Any) -> Fetched:
        if url in self.errors:
            raise self.errors[url]
        return super().fetch(url, *more)


@pytest.fixture
def failing(web: Web, monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """Return the errors by address, each in place of a fetch."""
    fetcher, errors = sources.fetcher(), dict[str, Exception]()
    monkeypatch.setattr(OneThatFails, "errors", errors)
    odd = OneThatFails(fetcher.limits, resolve=lookup, tls=NO_TLS, wire=web.internet)
    monkeypatch.setattr(sources, "fetcher", lambda: odd)
    return errors


def test_a_full_disk_is_no_try_of_theirs_and_the_others_go_on(
    bob: Client, web: Web, failing: dict[str, Exception]
) -> None:
    urls = [web.put(f"{n}.png") for n in range(6)]
    failing |= dict.fromkeys(urls[:2], OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    add(bob, begin(bob), *urls)
    for _ in range(sources.MAX_TAKEN + 1):
        sources.fetch_due()
        BatchFile.objects.filter(fetch_after__isnull=False).update(fetch_after=timezone.now())
    assert list(BatchFile.objects.filter(fetch_after__isnull=False).values_list("url", "fetches")) == [
        (url, 0) for url in urls[:2]
    ]
    assert Job.objects.count() == 4

    failing.clear()
    sources.fetch_due()
    assert (Job.objects.count(), problems()) == (6, {})


def test_without_room_for_a_temporary_file_nothing_is_a_try(
    bob: Client, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(bob, begin(bob), web.put("a.png"))
    with monkeypatch.context() as patch:
        patch.setattr(sources, "TemporaryUploadedFile", full)
        assert sources.fetch_due() == 1
    file = BatchFile.objects.get()
    assert (file.fetches, file.problem) == (0, "")
    assert timedelta() < (file.fetch_after or timezone.now()) - timezone.now() <= sources.LATER


def test_the_last_bytes_may_find_the_disk_full(
    bob: Client, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = TemporaryUploadedFile.close

    def close_and_fail(self: TemporaryUploadedFile) -> None:
        close(self)
        full()

    add(bob, begin(bob), web.put("a.png"))
    with monkeypatch.context() as patch:
        patch.setattr(TemporaryUploadedFile, "flush", full, raising=False)
        patch.setattr(TemporaryUploadedFile, "close", close_and_fail)
        sources.fetch_due()
    assert (BatchFile.objects.get().fetches, Job.objects.count()) == (0, 0)
    fetch_all()
    assert Job.objects.count() == 1


def test_a_disk_that_fails_amid_a_submission_is_no_try_of_theirs(
    bob: Client, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    add(bob, begin(bob), web.put("a.png"))
    with monkeypatch.context() as patch:
        patch.setattr(files, "put", broken)
        sources.fetch_due()
    assert (BatchFile.objects.get().fetches, problems()) == (0, {})
    fetch_all()
    assert Job.objects.count() == 1


def test_an_unexpected_failure_counts_for_its_own_address_only(
    bob: Client, web: Web, failing: dict[str, Exception]
) -> None:
    urls = [web.put(f"{n}.png") for n in range(4)]
    failing[urls[0]] = ValueError("nobody thought of that")
    add(bob, begin(bob), *urls)
    for _ in range(sources.MAX_TAKEN + 1):
        sources.fetch_due()
        BatchFile.objects.filter(fetch_after__isnull=False).update(fetch_after=timezone.now())
    assert (list(problems()), Job.objects.count()) == (urls[:1], 3)


def test_a_name_too_long_for_the_disk_is_fetched_all_the_same(bob: Client, web: Web) -> None:
    path = "a." + "x" * 248
    add(bob, begin(bob), web.put(path))
    sources.fetch_due()
    assert Job.objects.get().name == path


@pytest.mark.parametrize("content_type", ["", "application/octet-stream"])
def test_a_server_need_not_know_what_it_serves(bob: Client, web: Web, content_type: str) -> None:
    add(bob, begin(bob), web.put("a", Content_Type=content_type))
    sources.fetch_due()
    assert Job.objects.get().name == "a"


def test_what_was_removed_meanwhile_is_not_submitted(bob: Client, web: Web) -> None:
    add(bob, begin(bob), web.put("a.png"))
    taken = sources._claim(4)
    BatchFile.objects.update(problem="removed")
    for fetched in map(sources._fetch, taken):
        sources._finish(fetched)
    assert not Job.objects.exists()
    assert BatchFile.objects.get().problem == "removed"


def test_a_worker_that_died_after_the_job_leaves_one_job(bob: Client, web: Web) -> None:
    add(bob, begin(bob), web.put("a.png"))
    sources.fetch_due()
    BatchFile.objects.update(fetch_after=timezone.now())
    web.put("a.png", small_png(9, 9))
    sources.fetch_due()
    assert Job.objects.count() == 1
    assert BatchFile.objects.get().fetch_after is None


def test_a_file_that_ends_each_worker_is_given_up(bob: Client, web: Web) -> None:
    add(bob, begin(bob), web.put("a.png"))
    for _ in range(sources.MAX_TAKEN):
        assert sources._claim(1)  # and the process dies
        BatchFile.objects.update(fetch_after=timezone.now())
    sources.fetch_due()
    assert (BatchFile.objects.get().problem, Job.objects.count()) == ("unreachable", 0)


def test_whoever_left_the_team_spends_nothing(world: World, bob: Client, web: Web) -> None:
    add(bob, begin(bob), web.put("a.png"))
    Membership.objects.filter(user=world.bob).update(role=Role.VIEWER)
    sources.fetch_due()
    assert not Job.objects.exists()
    assert problems()[f"{SITE}/a.png"][0] == "forbidden"


def test_only_the_batchs_author_lists_addresses(world: World, bob: Client) -> None:
    """Its author pays for what a worker fetches, by their own allowance."""
    batch = begin(bob)
    for user, status in ((world.alice, 403), (world.vera, 403), (world.charlie, 404)):
        bob.force_login(user)
        assert add(bob, batch, f"{SITE}/a.png").status_code == status
    assert not BatchFile.objects.exists()


def test_what_is_no_address_is_said(bob: Client) -> None:
    bad = ["photo.png", "ftp://a/b.png", "http://", "https:///a.png", "javascript:alert(1)", "http://[::1"]
    bad += ["http://a/" + "x" * 2000, "http://a/\u202eb"]
    response = add(bob, begin(bob), *bad, f"{SITE}/a.png").json()
    assert (response["added"], response["invalid"]) == (1, [each[:200] for each in bad])


@pytest.mark.parametrize("many", [0, 501])
def test_lists_have_a_length(bob: Client, many: int) -> None:
    response = add(bob, begin(bob), *(f"{SITE}/{n}.png" for n in range(many)))
    assert (response.status_code, "1 to 500 addresses" in response.content.decode()) == (400, True)
    assert not BatchFile.objects.exists()


def test_addresses_are_not_what_a_browser_has_to_send(bob: Client) -> None:
    batch = begin(bob)
    add(bob, batch, f"{SITE}/a.png")
    assert bob.get(reverse("batch_missing", args=["aurora", batch])).json()["files"] == []
    assert bob.get(reverse("batch_plan", args=["aurora", batch])).json()["pictures"] == 0


def at_once(one: Callable[[], int], times: int) -> list[int]:
    def run(_: int) -> int:
        try:
            return one()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


@pytest.mark.both_databases
def test_several_workers_fetch_each_address_once(committed_world: World, web: Web) -> None:
    client = Client()
    client.force_login(committed_world.bob)
    add(client, begin(client), *(web.put(f"{n}.png") for n in range(12)))
    assert sum(at_once(sources.fetch_due, 3)) == 12
    assert (Job.objects.count(), len(web.site.heads)) == (12, 12)


@pytest.mark.both_databases
def test_without_a_lease_an_address_is_fetched_several_times(
    committed_world: World, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: everybody has looked before anybody takes it."""
    all_have_looked, looked = threading.Barrier(3), threading.local()

    def take(_: BatchFile) -> bool:
        if not hasattr(looked, "once"):
            looked.once = all_have_looked.wait(30)
        return True

    monkeypatch.setattr(sources, "_take", take)
    client = Client()
    client.force_login(committed_world.bob)
    add(client, begin(client), web.put("a.png"))
    at_once(sources.fetch_due, 3)
    assert len(web.site.heads) >= 3


def test_few_are_fetched_at_once(committed_world: World, web: Web) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def slowly(write: Callable[[bytes], object]) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.1)
        with lock:
            running -= 1
        write(answer(PICTURE))

    client = Client()
    client.force_login(committed_world.bob)
    web.site.answers |= {f"{n}.png": slowly for n in range(9)}
    add(client, begin(client), *(f"{SITE}/{n}.png" for n in range(9)))
    assert sources.fetch_due() == 9
    assert 2 <= most <= sources.AT_ONCE
