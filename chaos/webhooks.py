"""E18 for webhooks: senders that die, receivers that fail, and none of a job's endings untold.

Workers that run jobs and send webhooks are killed at random. Of four receivers one is well, one fails, one
answers after the sender's time-out and one hangs up, all but the first at random. A fifth address is private.
In the end each ending of a job is an event, each receiver got each event, and the private address nothing.

Two controls: deliveries are marked as delivered before they are sent, which must lose some; and the guard is
taken out, which must reach the private address.
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

from django.conf import settings

from chaos import patches
from chaos.experiments import Outcome
from chaos.kills import Kills, workers
from chaos.notes import Notes
from chaos.system import Prepare, System
from chaos.waiting import wait_for
from jobs.events import subscriptions
from jobs.models import Delivery, Event, EventKind, Job, Webhook

OUR_NETWORK, PRIVATE = "127.0.0.2", "127.0.0.1"
PATHS = ("/well", "/failing", "/slow", "/dying")
CANARY = "/canary"
SHARE = 0.4
SLOW_SECONDS = 3 * patches.RECEIVER_SECONDS
WORKERS = 3
JOBS_AT_FIRST = 40
CONTROL_KILLS = 5
ENDS_WITHIN_SECONDS, TOLD_WITHIN_SECONDS = 240, 600


class Receiver(BaseHTTPRequestHandler):
    """Notes each request in a file before it answers, or does worse."""

    notes: Notes
    chance: Random

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.notes.note(path=self.path, event=self.headers["webhook-id"])
        is_bad = self.chance.random() < SHARE
        if self.path == "/dying" and is_bad:
            self.close_connection = True
            return
        if self.path == "/slow" and is_bad:
            time.sleep(SLOW_SECONDS)
        self.send_response(500 if self.path == "/failing" and is_bad else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Round:
    """Some kills amid events, and what came of them. private: tell the private address too."""

    def __init__(
        self, system: System, number: int, seed: int, scale: float = 1, *, private: bool = True
    ) -> None:
        self._system, self._seed, self._scale = system, seed, scale
        self._notes = Notes(system.environment.folder / f"received-{number}")
        self._team, (port, *_) = system.teams[0], sorted(settings.FETCH_PORTS)
        urls = {path: f"http://{OUR_NETWORK}:{port}{path}" for path in PATHS}
        if private:
            urls[CANARY] = f"http://{PRIVATE}:{port}{CANARY}"
        for webhook in Webhook.objects.all():
            subscriptions.remove(webhook)
        Event.objects.all().delete()
        self._last = Job.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        self._hooks = {
            subscriptions.add(self._team, system.user, url, [EventKind.JOB_FINISHED])[0].pk: path
            for path, url in urls.items()
        }
        self._port = port

    def play(self, kills: int, plant: Prepare = None) -> None:
        """Kill workers while jobs end, and wait until all that can be told is told."""
        with self.listening():
            for _ in range(JOBS_AT_FIRST):
                self._system.submit()
            killing = Kills(self._system, self._seed, self._scale, workers(self._system, WORKERS, plant))
            killing.run(kills)
            self._system.settle(ENDS_WITHIN_SECONDS)
            self.wait_told()
            killing.settle()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Run the receivers."""
        servers = [self._system.fork(partial(self._serve, address)) for address in (OUR_NETWORK, PRIVATE)]
        try:
            yield
        finally:
            for server in servers:
                server.kill()

    def wait_told(self) -> None:
        """Wait until all that can be told is told."""
        canary = [pk for pk, path in self._hooks.items() if path == CANARY]
        waiting = Delivery.objects.filter(state=Delivery.State.WAITING).exclude(webhook__in=canary)
        wait_for(lambda: not waiting.exists(), TOLD_WITHIN_SECONDS, "the last delivery")

    def wrong(self) -> Iterator[str]:
        """Name the endings that are no event, and the events that a receiver never got."""
        events = dict(Event.objects.values_list("subject", "pk"))
        ended = Job.objects.filter(team=self._team, pk__gt=self._last, state__in=Job.FINISHED)
        for job in ended:
            if f"job:{job.pk}:{job.fence}:{job.state}" not in events:
                yield f"the ending of job {job.pk} is no event"
        received = self.received()
        for path in PATHS:
            for subject, pk in events.items():
                if not received[path][str(pk)]:
                    yield f"{path} never got {subject}"
        if received[CANARY]:
            yield f"{received[CANARY].total()} requests to a private address"

    def received(self) -> "defaultdict[str, Counter[str]]":
        """Return how often each receiver got each event."""
        received: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for said in self._notes.read():
            received[said["path"]][said["event"]] += 1
        return received

    def _serve(self, address: str) -> None:
        Receiver.notes, Receiver.chance = self._notes, Random(self._seed)  # noqa: S311 - it is to replay
        with ThreadingHTTPServer((address, self._port), Receiver) as server:
            server.daemon_threads = True
            server.serve_forever()


def run(system: System, options: argparse.Namespace) -> Outcome:
    tested = Round(system, 0, options.seed, options.scale)
    tested.play(options.kills)
    found = [*tested.wrong(), *system.failures()]
    received = tested.received()
    facts = {
        "kills": options.kills,
        "events": Event.objects.count(),
        "deliveries": sum(counts.total() for counts in received.values()),
        "repeated": sum(count - 1 for counts in received.values() for count in counts.values()),
    }
    losing = Round(system, 1, options.seed)  # at full scale, so that workers are killed while they send
    losing.play(CONTROL_KILLS, patches.deliver_before_sending)
    lost = sum(" never got " in line for line in losing.wrong())
    open_to_all = Round(system, 2, options.seed, options.scale)
    open_to_all.play(1, patches.without_guard)
    reached = open_to_all.received()[CANARY].total()
    return Outcome(found, {"control": lost, "canary": reached}, facts)
