"""People and programs at a site over hours: they upload batches, read pages, restyle, download and delete.

All run in the threads of one process, at a moderate pace, until they are told to stop. What a site mustn't
answer, even amid faults, is noted in a file; what it may (503 while the database is away, 404 for what was
deleted) is counted.
"""

import json
import random
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.ledger.money import MICROCREDITS
from accounts.models import Team
from accounts.teams.create import open_team
from chaos import slow
from chaos.notes import Notes
from chaos.process import Process, told_to_end
from chaos.programs import repeating
from chaos.system import System
from chaos.timeouts import decide
from chaos.uploader import BY_SCRIPT, GaveUpError, Uploader, new_id, photos

PHOTOS_EACH = 8
CHUNK_BYTES = 20_000
CREDITS_AFTER_SECONDS = 5
ANSWERED_WITHIN_SECONDS = 60
DECIDED_AFTER = timedelta(seconds=30)  # longer than the upstream may still charge a call that was sent
PATIENCE_SECONDS = 600  # of an uploader, on a machine that may be busy otherwise
ENDS_WITHIN_SECONDS = 900
MAY_BE = (404, 409, 410, 422, 429, 503)
"""It was deleted, is being done by another, can't be made of this picture, too often, or later."""

PAGES = (
    *("", "history/", "history/?q=photo", "history/?state=in_doubt", "history/counts/", "history.csv"),
    *("credits/statement/", "credits/statement/statement.csv", "credits/usage/", "credits/usage.csv"),
    *("review/", "audit/", "webhooks/", "storage/", "presets/", "api/"),
)
OF_THE_SITE = ("/healthz", "/readyz", "/health/", "/metrics", "/api/docs", "/api/openapi.json", "/admin/")
OF_A_JOB = ("", "cutout.png", "before-tile.webp", "after-page.webp", "styled.webp", "styled/")
OF_A_BATCH = ("", "changes/", "manifest.csv", "download/", "missing/")
STYLES = [json.dumps({"background": "color", "color": color}) for color in ("#ffffff", "#336699")]

Work = Callable[[threading.Event], object]


class Visitors:
    """A process of threads. addresses: of the web processes, taken at random."""

    def __init__(self, system: System, seed: str, addresses: Sequence[str]) -> None:
        self._system, self._seed, self._addresses = system, seed, addresses
        self.team = open_team(f"Batches {seed}", system.user, MICROCREDITS)
        Team.objects.filter(pk=self.team.pk).update(keep_days=1)
        self._key = system.key(self.team)
        self._browser = system.browser(seconds=ANSWERED_WITHIN_SECONDS)
        self._drips = slow.kinds(system, self._key)[:-1]  # the last one is for large results
        self._counts: Counter[str] = Counter()
        self._batches: list[str] = []
        folder = system.environment.folder
        self.noted, self._repeats = Notes(folder / f"noted-{seed}"), Notes(folder / f"repeats-{seed}")
        self._counted = folder / f"counted-{seed}"
        self._chance = random.Random(seed)  # noqa: S311

    def start(self) -> Process:
        return self._system.fork(self._visit)

    def end(self, process: Process) -> "Counter[str]":
        """Tell them to stop; return how often each answer came."""
        process.terminate()
        if process.wait(ENDS_WITHIN_SECONDS) != 0:
            raise RuntimeError(f"the visitors ended with {process.code}")
        return Counter(json.loads(self._counted.read_text()))

    def _visit(self) -> None:
        ports = [int(address.rpartition(":")[2]) for address in self._addresses]
        crowds = [slow.Crowd(ports[n % len(ports)], drip) for n, drip in enumerate(self._drips)]
        paces: list[tuple[float, Work]] = [
            (20, self._batch),
            (1, self._read),
            (1, self._look_at_pictures),
            (2, self._ask_api),
            (20, self._decide),
            (120, self._check_books),
        ]
        with ExitStack() as ends:
            for crowd in crowds:
                ends.enter_context(repeating(1, crowd.insist))
            for pause, work in paces:
                ends.enter_context(repeating(1, partial(self._at_a_pace, pause, work)))
            told_to_end().wait()
        for crowd in crowds:
            self._counts[f"dripping {crowd.drip.name}"] = crowd.opened
        self._counted.write_text(json.dumps(self._counts))

    def _at_a_pace(self, pause: float, work: Work, stop: threading.Event) -> None:
        if stop.wait(self._chance.uniform(0, 2 * pause)):
            return
        try:
            work(stop)
        except (DatabaseError, InterfaceError, httpx.TransportError) as error:
            self._counts[type(error).__name__] += 1
        except GaveUpError as error:
            self._note("gave up", str(error))
        except Exception:  # noqa: BLE001 - the thread goes on, and the run fails
            self._note("failed", traceback.format_exc())
        finally:
            close_old_connections()

    def _note(self, what: str, text: str) -> None:
        self.noted.note(at=timezone.now().isoformat(), what=what, text=text)

    # The browser of a person.

    def _batch(self, stop: threading.Event) -> None:
        """Upload a batch with credits for half of it; the others come later. Restyle, take it away."""
        seed = f"{self._seed}-{len(self._batches)}-{self._chance.random()}"
        shot, identifier = photos(seed, PHOTOS_EACH), new_id(seed)
        price = sum(photo.pixels for photo in shot)
        ledger.grant(self.team, price // 2, key=f"half:{seed}")
        uploader = Uploader(
            self._addresses,
            self._browser,
            self.team.slug,
            identifier,
            shot,
            CHUNK_BYTES,
            self._repeats,
            PATIENCE_SECONDS,
        )
        uploader.begin()
        self._counts["batches"] += 1
        self._batches.append(str(identifier))
        stop.wait(CREDITS_AFTER_SECONDS)
        # Some of the photos cost more than their price, and calls in doubt keep their holds for a while.
        ledger.grant(self.team, 4 * price, key=f"rest:{seed}")
        path = f"batches/{identifier}/"
        self._ask("POST", f"{path}outputs/", data={"style": STYLES[0]})
        stop.wait(CREDITS_AFTER_SECONDS)
        self._ask("POST", f"{path}control/", data={"action": "retry"})
        self._ask("GET", f"{path}download/")
        if len(self._batches) > 20 and self._chance.random() < 0.5:
            self._ask("POST", f"batches/{self._batches.pop(self._chance.randrange(10))}/delete/")

    def _read(self, _: threading.Event) -> None:
        self._ask("GET", self._chance.choice(OF_THE_SITE if self._chance.random() < 0.3 else PAGES))

    def _look_at_pictures(self, _: threading.Event) -> None:
        if not self._batches:
            return
        batch = self._chance.choice(self._batches)
        self._ask("GET", f"batches/{batch}/{self._chance.choice(OF_A_BATCH)}")
        done = self._api("/api/jobs", {"batch": batch, "state": "done"})
        if done.is_success and (jobs := done.json()["items"]):
            pk, part = self._chance.choice(jobs)["id"], self._chance.choice(OF_A_JOB)
            style = f"?style={quote(self._chance.choice(STYLES))}" if part.startswith("styled") else ""
            self._ask("GET", f"jobs/{pk}/{part}{style}")
            if self._chance.random() < 0.05:
                self._ask("POST", f"jobs/{pk}/delete/")

    def _ask_api(self, _: threading.Event) -> None:
        """Read as a program does: lists, one job, its files, credits and usage."""
        listed = self._api("/api/jobs", {"limit": "20"})
        if listed.is_success and (items := listed.json()["items"]):
            pk = self._chance.choice(items)["id"]
            self._api(f"/api/jobs/{pk}{self._chance.choice(('', '/result', '/source'))}")
        self._api(self._chance.choice(("/api/balance", "/api/ledger", "/api/usage", "/api/v2/account")))

    # The operator.

    def _decide(self, _: threading.Event) -> None:
        self._counts["decided"] += decide(self._system, timezone.now() - DECIDED_AFTER)

    def _check_books(self, _: threading.Event) -> None:
        """Run what an operator runs every night. ``reconcile`` may find what a person has to look at."""
        # A file whose web process was killed is a finding an hour later, unless a night has moved it.
        for command in (("quarantine", "move"), ("verify",), ("reconcile",)):
            said = StringIO()
            try:
                call_command(*command, stdout=said)
            except SystemExit:
                if command == ("verify",):
                    self._note("verify", said.getvalue())
            self._counts[f"manage.py {' '.join(command)}"] += 1
            close_old_connections()

    def _ask(self, method: str, path: str, **body: Any) -> None:
        url = path if path.startswith("/") else f"/t/{self.team.slug}/{path}"
        headers = {"Authorization": f"Bearer {settings.METRICS_TOKEN}"} if path == "/metrics" else {}
        if method == "POST":
            headers |= BY_SCRIPT
        address = self._chance.choice(self._addresses)
        self._judge(self._browser.request(method, address + url, headers=headers, **body))

    def _api(self, path: str, query: dict[str, str] | None = None) -> httpx.Response:
        key, address = (self._key.api_id, self._key.api_secret), self._chance.choice(self._addresses)
        return self._judge(self._browser.get(address + path, params=query, auth=key))

    def _judge(self, response: httpx.Response) -> httpx.Response:
        self._counts[f"status {response.status_code}"] += 1
        if response.is_error and response.status_code not in MAY_BE:
            asked = response.request
            self._note(f"{response.status_code}", f"{asked.method} {asked.url}: {response.text[:2000]}")
        return response
