"""People and programs at a site over hours: they upload batches, read pages, restyle, download and delete.

All run in the threads of one process, at a moderate pace, until they are told to stop. What a site mustn't
answer, even amid faults, is noted in a file; what it may (503 while the database is away, 404 for what was
deleted) is counted.
"""

import json
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from io import StringIO
from urllib.parse import quote

import httpx
from django.core.management import call_command
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone

from accounts.ledger import operations as ledger
from accounts.models import Team
from chaos.notes import Notes
from chaos.process import Process
from chaos.programs import repeating
from chaos.slow import Crowd, Drip
from chaos.system import System
from chaos.timeouts import decide
from chaos.uploader import BY_SCRIPT, GaveUpError, Uploader, new_id, photos
from pixian.protocol.credentials import Credentials

PHOTOS_EACH = 8
LARGE_BYTES, CHUNK_BYTES = 60_000, 20_000
CREDITS_AFTER_SECONDS = 5
DECIDED_AFTER = timedelta(seconds=30)
"""Longer than the upstream may still charge a call that was sent."""

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


@dataclass(frozen=True)
class Site:
    """Facts that visitors need. addresses: of the web processes. browser: a person's."""

    system: System
    addresses: Sequence[str]
    team: Team
    key: Credentials
    browser: httpx.Client
    metrics_token: str
    drips: Sequence[Drip] = ()


@dataclass
class Visitors:
    """A process of threads. pause: seconds on average between what each thread does."""

    site: Site
    seed: str
    pause: float
    batch_pause: float
    counts: Counter[str] = field(default_factory=Counter)
    batches: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        folder = self.site.system.environment.folder
        self.noted = Notes(folder / f"noted-{self.seed}")
        self._stop, self._counted = folder / f"stop-visitors-{self.seed}", folder / f"counted-{self.seed}"
        self._chance = random.Random(self.seed)  # noqa: S311

    def start(self) -> Process:
        return self.site.system.fork(self._visit)

    def end(self, process: Process) -> "Counter[str]":
        """Tell them to stop; return how often each answer came."""
        self._stop.touch()
        if process.wait(ENDS_WITHIN_SECONDS) != 0:
            raise RuntimeError(f"the visitors ended with {process.code}")
        return Counter(json.loads(self._counted.read_text()))

    def _visit(self) -> None:
        crowds = [
            Crowd(int(self.site.addresses[n % len(self.site.addresses)].rpartition(":")[2]), drip)
            for n, drip in enumerate(self.site.drips)
        ]
        paces: list[tuple[float, Work]] = [
            (self.batch_pause, self._batch),
            (self.pause, self._read),
            (self.pause, self._look_at_pictures),
            (self.pause * 2, self._ask_api),
            (self.pause * 20, self._decide),
            (self.pause * 120, self._check_books),
        ]
        with ExitStack() as ends:
            for crowd in crowds:
                ends.enter_context(repeating(1, crowd.insist))
            for pause, work in paces:
                ends.enter_context(repeating(1, partial(self._at_a_pace, pause, work)))
            while not self._stop.exists():
                time.sleep(0.1)
        for crowd in crowds:
            self.counts[f"dripping {crowd.drip.name}"] = crowd.opened
        self._counted.write_text(json.dumps(self.counts))

    def _at_a_pace(self, pause: float, work: Work, stop: threading.Event) -> None:
        if stop.wait(self._chance.uniform(0, 2 * pause)):
            return
        try:
            work(stop)
        except (DatabaseError, InterfaceError, httpx.TransportError) as error:
            self.counts[type(error).__name__] += 1
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
        seed = f"{self.seed}-{len(self.batches)}-{self._chance.random()}"
        site, shot = self.site, photos(seed, PHOTOS_EACH, large=LARGE_BYTES)
        price = sum(photo.pixels for photo in shot)
        ledger.grant(site.team, price // 2, key=f"half:{seed}")
        repeats = Notes(site.system.environment.folder / f"repeats-{self.seed}")
        identifier = new_id(seed)
        uploader = Uploader(
            site.addresses,
            site.browser,
            site.team.slug,
            identifier,
            shot,
            CHUNK_BYTES,
            repeats,
            PATIENCE_SECONDS,
        )
        uploader.begin()
        self.counts["batches"] += 1
        self.batches.append(str(identifier))
        stop.wait(CREDITS_AFTER_SECONDS)
        # Some of the photos cost more than their price, and calls in doubt keep their holds for a while.
        ledger.grant(site.team, 4 * price, key=f"rest:{seed}")
        path = f"batches/{identifier}/"
        self._ask("POST", f"{path}outputs/", data={"style": STYLES[0]})
        stop.wait(CREDITS_AFTER_SECONDS)
        self._ask("POST", f"{path}control/", data={"action": "retry"})
        self._ask("GET", f"{path}download/")
        if len(self.batches) > 20 and self._chance.random() < 0.5:
            self._ask("POST", f"batches/{self.batches.pop(self._chance.randrange(10))}/delete/")

    def _read(self, _: threading.Event) -> None:
        if self._chance.random() < 0.3:
            self._ask("GET", self._chance.choice(OF_THE_SITE))
        else:
            self._ask("GET", self._chance.choice(PAGES))

    def _look_at_pictures(self, _: threading.Event) -> None:
        if not self.batches:
            return
        batch = self._chance.choice(self.batches)
        self._ask("GET", f"batches/{batch}/{self._chance.choice(OF_A_BATCH)}")
        if done := list(self._done(batch)):
            pk, part = self._chance.choice(done), self._chance.choice(OF_A_JOB)
            style = f"?style={quote(self._chance.choice(STYLES))}" if part.startswith("styled") else ""
            self._ask("GET", f"jobs/{pk}/{part}{style}")
            if self._chance.random() < 0.05:
                self._ask("POST", f"jobs/{pk}/delete/")

    def _done(self, batch: str) -> list[int]:
        jobs = self._api("/api/jobs", {"batch": batch, "state": "done"})
        return [job["id"] for job in jobs.json()["items"]] if jobs.is_success else []

    def _ask_api(self, _: threading.Event) -> None:
        """Read as a program does: lists, one job, its files, credits and usage."""
        listed = self._api("/api/jobs", {"limit": "20"})
        if listed.is_success and (items := listed.json()["items"]):
            pk = self._chance.choice(items)["id"]
            self._api(f"/api/jobs/{pk}{self._chance.choice(('', '/result', '/source'))}")
        self._api(self._chance.choice(("/api/balance", "/api/ledger", "/api/usage", "/api/v2/account")))

    # The operator.

    def _decide(self, _: threading.Event) -> None:
        self.counts["decided"] += decide(self.site.system, timezone.now() - DECIDED_AFTER)

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
            self.counts[f"manage.py {' '.join(command)}"] += 1
            close_old_connections()

    def _ask(self, method: str, path: str, **body: object) -> None:
        url = path if path.startswith("/") else f"/t/{self.site.team.slug}/{path}"
        headers = {"Authorization": f"Bearer {self.site.metrics_token}"} if path == "/metrics" else {}
        if method == "POST":
            headers |= BY_SCRIPT
        self._judge(self.site.browser.request(method, self._address + url, headers=headers, **body))  # type: ignore[arg-type]

    def _api(self, path: str, query: dict[str, str] | None = None) -> httpx.Response:
        key = (self.site.key.api_id, self.site.key.api_secret)
        return self._judge(self.site.browser.get(self._address + path, params=query, auth=key))

    def _judge(self, response: httpx.Response) -> httpx.Response:
        self.counts[f"status {response.status_code}"] += 1
        if response.is_error and response.status_code not in MAY_BE:
            asked = response.request
            self._note(f"{response.status_code}", f"{asked.method} {asked.url}: {response.text[:2000]}")
        return response

    @property
    def _address(self) -> str:
        return self._chance.choice(list(self.site.addresses))
