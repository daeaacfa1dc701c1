"""A person in a browser without scripts and a program, both of the first team."""

import html
import re
from uuid import uuid4

import httpx
from django.conf import settings
from django.test import Client

from chaos.system import REMOVE, System
from jobs.storage import instance

CLIENT_ERROR = 400


class Visitors:
    """Each sends pictures that are like no other."""

    def __init__(self, system: System) -> None:
        self._home = f"/t/{system.teams[0].slug}/"
        self._system, self._key = system, system.key()
        instance.establish()  # as ``manage.py prepare`` does
        client = Client()
        client.force_login(system.user)
        self._session = client.cookies[settings.SESSION_COOKIE_NAME].value

    def call(self) -> httpx.Response:
        """Make a program's call."""
        picture = {"image": ("photo.png", self._system.picture())}
        with self._system.client(self._key) as http:
            return http.post(REMOVE, files=picture, headers={"Idempotency-Key": uuid4().hex})

    def upload(self, count: int) -> httpx.Response:
        """Send pictures by the form, and return the page that it leads to."""
        with self._system.client() as http:
            http.follow_redirects = True
            http.cookies.set(settings.SESSION_COOKIE_NAME, self._session)
            form = http.get(self._home)
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
            if token is None:  # there is no form to send
                return form
            pictures = [("image", (f"{n}.png", self._system.picture(), "image/png")) for n in range(count)]
            fields = {"csrfmiddlewaretoken": token[1]}
            return http.post(f"{self._home}upload/", data=fields, files=pictures)


def failed(answer: httpx.Response) -> list[str]:
    """Say what a person reads, if the answer isn't a success."""
    if answer.status_code < CLIENT_ERROR:
        return []
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
    return [f"{answer.url.path} is answered {answer.status_code}: {text[-200:]}"]
