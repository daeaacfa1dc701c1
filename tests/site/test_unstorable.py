"""Text that a database can't hold is refused where it comes in: on every route, by every way in."""

import re
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from conftest import World, small_png
from jobs.models import Job
from pixian_web.wsgi import application
from tests.site.isolation.cast import Cast, gathered
from tests.site.isolation.routes import routes
from tests.site.isolation.rows import row_of

ROUTES = {name: pattern for name, pattern in routes().items() if name != "readyz"}  # 503 without a worker
NASTY = {
    "NUL": "a%00b@example.org",
    "no UTF-8": "%ED%A0%80%FF%C0%80",  # a surrogate, and what is nothing at all
    "beyond 64 bits": "9" * 30,
}
NAMES = """
q p o e next page before limit state origin key name kind since until by credits period warn_percent email
login password password1 password2 oldpassword code credential scopes expires_on role request_id batch image
language action select_across index _selected_action action_add action_send action_remove action_primary id
first_name csrfmiddlewaretoken
""".split()  # noqa: SIM905 - a list of 40 lines says no more
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>[^)]*\)")
FORM = "application/x-www-form-urlencoded"


def spread() -> dict[str, str]:
    """Give each admin page of a model that is only shown one kind: they all share Django's view.

    Lists have filters of their own, so they get every kind, as do the forms.
    """
    shown = [
        f"admin/{model._meta.app_label}/{model._meta.model_name}/"
        for model, page in admin.site._registry.items()
        if type(page).has_change_permission is not admin.ModelAdmin.has_change_permission
    ]
    pages = [
        name
        for name, pattern in ROUTES.items()
        if pattern.startswith(tuple(shown)) and not name.endswith("_changelist")
    ]
    return dict(zip(pages, cycle(NASTY)))


SPREAD = spread()


@pytest.fixture
def cast(world: World) -> Cast:
    return gathered(world)


def client_of(cast: Cast, name: str) -> Client:
    """Return the owner's browser, or staff's for staff's pages, with an invalid key of a program."""
    client = Client(raise_request_exception=False, headers={"Authorization": "Basic cHg6eA=="})
    user = cast.people["staff" if name.startswith("admin:") else "owner"]
    assert user
    client.force_login(user)
    return client


class Browsers:
    """Their browsers, each kept for as long as no page signs it out."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._kept: dict[bool, tuple[Client, str]] = {}

    def of(self, name: str) -> Client:
        staffs = name.startswith("admin:")
        client, session = self._kept.get(staffs, (None, ""))
        if client is None or session_of(client) != session:
            client = client_of(self._cast, name)
            self._kept[staffs] = client, session_of(client)
        return client


def session_of(client: Client) -> str:
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def paths(pattern: str, cast: Cast, nasty: str) -> Iterator[str]:
    """Yield the route's address as it should be, and once with each argument nasty."""
    own = {"team": cast.own.team.slug, "pk": str(cast.own.job.pk), "side": "after", "size": "tile"}
    names = [first or second for first, second in ARGUMENT.findall(pattern)]
    for bad in [None, *names]:
        made = {name: nasty if name == bad else own.get(name, "1") for name in names}
        path = "".join(made.get(part, part) for part in re.split(r"\0", ARGUMENT.sub("\0\\1\\2\0", pattern)))
        yield "/" + re.sub(r"[\^$?\\]|\(.*\)", "", path)


def asked(client: Client, name: str, path: str, nasty: str) -> Iterator[tuple[str, Any]]:
    """Yield what was sent and what came. Of a nasty path nobody reads the query or the form."""
    if nasty in path:
        row = row_of(name)
        yield "path", client.post(path) if row and row.method == "post" else client.get(path)
        return
    fields = "&".join(f"{name}={nasty}" for name in NAMES) + f"&{nasty}=1"
    yield "query", client.get(f"{path}?{fields}")
    yield "form", client.post(path, fields, FORM)


def broken(answers: Iterator[tuple[str, Any]]) -> list[tuple[str, int]]:
    """Return what failed on our side."""
    found = []
    for how, answer in answers:
        if answer.streaming:
            b"".join(answer.streaming_content)  # to its end, which closes the file
        if answer.status_code >= 500:
            found.append((how, answer.status_code))
    return found


@pytest.mark.parametrize("what", NASTY)
def test_no_route_breaks(cast: Cast, settings: Settings, what: str) -> None:
    sources, browsers = stored(settings), Browsers(cast)
    failed = {
        (name, path): found
        for name, pattern in ROUTES.items()
        if SPREAD.get(name, what) == what
        for path in paths(pattern, cast, NASTY[what])
        if (found := broken(asked(browsers.of(name), name, path, NASTY[what])))
    }
    assert failed == {}
    assert stored(settings) == sources


@pytest.mark.both_databases
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite holds a NUL")
def test_without_the_guard_a_list_would_break(cast: Cast, settings: Settings) -> None:
    """The control: forms have guards of their own, but the search of a list hasn't."""
    name = "admin:accounts_transfer_changelist"
    answers = list(asked(client_of(cast, name), name, reverse(name), NASTY["NUL"]))
    assert [answer.status_code for _, answer in answers] == [400, 400]
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if not each.endswith(".TextMiddleware")]
    assert broken(asked(client_of(cast, name), name, reverse(name), NASTY["NUL"]))


def lookups() -> Iterator[str]:
    """Return every filter of every list in the admin, and its search."""
    for model, shown in admin.site._registry.items():
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        filters = [name for name in shown.list_filter if isinstance(name, str)]
        for name in ["q", *filters, *(f"{name}__exact" for name in filters)]:
            yield f"{address}?{name}="


@pytest.mark.parametrize("what", NASTY)
def test_no_filter_of_the_admin_breaks(cast: Cast, what: str) -> None:
    client = client_of(cast, "admin:")
    answers = ((address, client.get(address + NASTY[what])) for address in lookups())
    assert broken(answers) == []


CODECS = {"utf-7": b"q=%2BAAA-&x=+2AA-", "unicode_escape": rb"q=\ud800", "hex": b"q=%41", "utf-16": b"q=\0"}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=x"])
def test_text_is_utf_8_whatever_a_request_says(committed_world: World, codec: str, kind: str) -> None:
    body = CODECS[codec]
    if kind != FORM:
        body = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\n' + body + b"\r\n--x--\r\n"
    browser = Client()
    browser.force_login(committed_world.alice)
    cookies = {key: morsel.value for key, morsel in browser.cookies.items()}
    transport = httpx.WSGITransport(application, raise_app_exceptions=False)
    with httpx.Client(base_url="http://localhost", transport=transport, cookies=cookies) as http:
        for name in ("account_login", "home", "api_jobs", "api_remove_background"):
            for method in ("GET", "POST"):
                headers = {"Content-Type": f"{kind}; charset={codec}"}
                answer = http.request(method, f"{reverse(name)}?q=%41", content=body, headers=headers)
                assert answer.status_code < 500, name


def test_a_page_says_so(cast: Cast) -> None:
    client = client_of(cast, "")
    invite = reverse("invite", args=[cast.own.team.slug])
    answer = client.post(invite, {"email": "a\0b@example.org", "role": "2"})
    assert (answer.status_code, "The browser sent something" in answer.content.decode()) == (400, True)
    script = client.get(
        reverse("history", args=[cast.own.team.slug]) + "?q=%00", headers={"HX-Request": "true"}
    )
    assert (script.status_code, script.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")


def test_a_file_is_taken_whatever_it_is_called(cast: Cast, settings: Settings) -> None:
    """Its name is the client's word, and affects nothing else."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a\0b.png"\r\n'
    body = head + b"Content-Type: image/png\r\n\r\n" + small_png() + b"\r\n--x--\r\n"
    address = reverse("upload", args=[cast.own.team.slug])
    answer = client_of(cast, "").generic("POST", address, body, "multipart/form-data; boundary=x")
    assert answer.status_code < 400
    assert Job.objects.latest("pk").name.isprintable()
    assert len(stored(settings)) == Job.objects.count()


def stored(settings: Settings) -> list[Path]:
    return sorted(Path(settings.MEDIA_ROOT).rglob("source.png"))
