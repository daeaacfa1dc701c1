"""E23 as it is played: the web process, one crowd after the other, and what a program sees meanwhile."""

import argparse
import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from accounts.api_keys import keys
from chaos import stage
from chaos.drip import Crowd, Drip
from chaos.site import Site
from pixian.protocol.credentials import Credentials

ROOT = Path(__file__).resolve().parents[1]
SLACK_SECONDS = 3
PAUSE_SECONDS = 0.3
UP_WITHIN_SECONDS = 60
STOPS_WITHIN_SECONDS = 15
REMOVE = "/api/v2/remove-background"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
LENGTH = "Content-Length: 3000000\r\n"


@dataclass
class Seen:
    """within: seconds that an answer may take. slowest: the longest took so many. late: answers that took too
    long, never came, or refused; told: the last of them."""

    within: float
    slowest: float = 0
    late: int = 0
    asked: int = 0
    told: str = ""

    def __str__(self) -> str:
        return f"{self.asked} asked, {self.late} late {self.told}, slowest {self.slowest:.2f} s"


def run(here: stage.Stage, options: argparse.Namespace) -> int:
    call_command("collectstatic", interactive=False, verbosity=0)
    with Site(here, teams=2, hurried=False) as site:
        key, others = (keys.create(team, site.user, "shop")[1] for team in site.teams)
        drips = [d for d in kinds(site, others) if not options.kinds or d.name in options.kinds]
        late = overdue = 0
        for drip in drips:
            seen, crowd = play(site, key, drip, options)
            late += seen.late
            overdue += crowd.longest_open > options.patience + SLACK_SECONDS + drip.work
        control = play(site, key, drips[0], options, "--worker-class", "gthread")[0].late
    stage.report("E23 slow", options, kinds=len(drips), late=late, overdue=overdue, control=control)
    return int(bool(late or overdue or not control))


def kinds(site: Site, key: Credentials) -> list[Drip]:
    """All of them; those that only have to be told what a stranger may know come first."""
    client = Client()
    client.get("/accounts/login/")
    csrf = f"{settings.CSRF_COOKIE_NAME}={client.cookies[settings.CSRF_COOKIE_NAME].value}"
    client.force_login(site.user)
    session = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    auth = f"Authorization: Basic {base64.b64encode(f'{key.api_id}:{key.api_secret}'.encode()).decode()}\r\n"
    upload, part = f"/t/{site.teams[0].slug}/upload/", form(site.picture())
    whole = f"Content-Length: {len(part)}\r\n"
    multipart = "Content-Type: multipart/form-data; boundary=drip\r\n"
    one, chunk = b"x", b"1\r\nx\r\n"
    chunked = "Transfer-Encoding: chunked\r\n"
    return [
        Drip("headers", head("POST", REMOVE).removesuffix(b"\r\n"), b"X: y\r\n"),
        Drip("body", head("POST", REMOVE, FORM, LENGTH), one),
        Drip("chunks", head("POST", REMOVE, FORM, chunked), chunk),
        Drip("nowhere", head("POST", "/api/v2/nowhere", FORM, LENGTH), one),
        Drip("login", head("POST", "/accounts/login/", FORM, LENGTH, f"Cookie: {csrf}\r\n"), one),
        Drip("upload", head("POST", upload, multipart, LENGTH, f"Cookie: {csrf}; {session}\r\n"), one),
        Drip("call", head("POST", REMOVE, auth, multipart, LENGTH), one),
        Drip("result", head("POST", REMOVE, auth, multipart, whole) + part, work=10),
        Drip("idle", head("GET", "/healthz")),
    ]


def head(method: str, path: str, *headers: str) -> bytes:
    host = f"127.0.0.1:{os.environ['PORT']}"
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{''.join(headers)}\r\n".encode()


def form(picture: bytes) -> bytes:
    disposition = b'Content-Disposition: form-data; name="image"; filename="a.png"'
    return b"--drip\r\n" + disposition + b"\r\n\r\n" + picture + b"\r\n--drip--\r\n"


def play(
    site: Site, key: Credentials, drip: Drip, options: argparse.Namespace, *arguments: str
) -> tuple[Seen, Crowd]:
    crowd = Crowd(int(os.environ["PORT"]), drip)
    with web(*arguments) as url, crowd.of(options.connections):
        time.sleep(min(5, options.seconds / 4))
        seen = watched(url, key, site.picture(), options)
    sys.stdout.write(
        f"{drip.name} {' '.join(arguments)}: {seen}; "
        f"longest open {crowd.longest_open:.1f} s, {crowd.opened} opened\n"
    )
    sys.stdout.flush()
    return seen, crowd


@contextmanager
def web(*arguments: str, application: str = "pixian_web.wsgi") -> Iterator[str]:
    """The web process as the Procfile starts it, and its address. application: the control's."""
    command = [sys.executable, "-m", "gunicorn", "-c", "pixian_web/gunicorn.py", *arguments]
    process = subprocess.Popen([*command, application], cwd=ROOT, start_new_session=True)  # noqa: S603
    url = f"http://127.0.0.1:{os.environ['PORT']}"
    try:
        wait_until_up(url)
        yield url
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOPS_WITHIN_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_up(url: str) -> None:
    end = time.monotonic() + UP_WITHIN_SECONDS
    while time.monotonic() < end:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/healthz", trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise TimeoutError(url)


def watched(url: str, key: Credentials, picture: bytes, options: argparse.Namespace) -> Seen:
    """A probe and a paid call in turns, each by a connection of its own."""
    seen, end = Seen(options.within), time.monotonic() + options.seconds
    auth, files = (key.api_id, key.api_secret), {"image": ("a.png", picture)}
    while time.monotonic() < end:
        ask(seen, "GET", f"{url}/healthz")
        ask(seen, "POST", f"{url}{REMOVE}", auth=auth, files=files)
        time.sleep(PAUSE_SECONDS)
    return seen


def ask(seen: Seen, method: str, url: str, **request: object) -> None:
    began, told = time.monotonic(), ""
    try:
        with httpx.Client(timeout=seen.within, trust_env=False) as http:
            response = http.request(method, url, **request)  # type: ignore[arg-type]
            told = "" if response.is_success else f"({response.status_code} {response.text[:100]})"
    except httpx.HTTPError as error:
        told = f"({error!r})"
    took = time.monotonic() - began
    seen.slowest = max(seen.slowest, took)
    seen.late += bool(told) or took > seen.within
    seen.told = told or seen.told
    seen.asked += 1
