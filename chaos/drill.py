"""One instance through all the losses of a drill."""

import random
import shutil
import time
from dataclasses import dataclass, field
from uuid import uuid4

from django.utils import timezone

from accounts.models import Team
from chaos.clients import Clients
from chaos.operator import Operator
from chaos.process import Process, kill_all
from chaos.restore_checks import Files
from chaos.system import Prepare, System
from chaos.waiting import wait_for
from jobs.models import Job, PeriodicTask, WorkerHeartbeat
from jobs.queue import stopping

WORKERS, THREADS = 2, 2
WATCHED_SECONDS = 1.5
"""So long after all are at work no call may have come; a worker that may call does so within a tenth."""

ENOUGH = 6
PATIENCE_SECONDS = 240
WAITING = [Job.State.QUEUED, Job.State.RUNNING, Job.State.KEPT, Job.State.PAUSED]


@dataclass
class Drill:
    """An instance, its operator and its clients. poor: a team without credits."""

    system: System
    operator: Operator
    clients: Clients
    poor: Team
    wrong: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    def check(self, what: str, *, holds: bool) -> None:
        if not holds:
            self.wrong.append(what)

    def start(self) -> None:
        """Start web and workers, as ``make run`` does, and return once all are at work."""
        began = timezone.now()
        self.processes += [self.system.web()]
        self.processes += [self.system.worker(THREADS) for _ in range(WORKERS)]
        seen = WorkerHeartbeat.objects.filter(seen_at__gte=began)
        wait_for(lambda: seen.count() > WORKERS, PATIENCE_SECONDS, "the processes' first heartbeats")
        wait_for(self.system.is_up, PATIENCE_SECONDS, "the web process's first answer")

    def kill(self) -> None:
        """Kill all that runs, at once; calls under way reach the upstream all the same."""
        kill_all(self.processes)
        self.processes = []
        self.system.upstream.wait_idle(PATIENCE_SECONDS)

    def go_on(self, seconds: float, team: Team | None = None) -> None:
        """Let load go on for so long, until enough was acknowledged and charged, and this team has all."""
        enough = self._progress() + ENOUGH
        time.sleep(seconds)
        wait_for(lambda: self._progress() >= enough, PATIENCE_SECONDS, "enough load")
        if team:
            waiting = Job.objects.filter(team=team, state__in=WAITING)
            wait_for(lambda: not waiting.exists(), PATIENCE_SECONDS, "the end of what a team waits for")

    def _progress(self) -> int:
        """Count what is acknowledged or charged by now, whichever is less."""
        return min(len(list(self.clients.acknowledged())), len(self.system.upstream.log().charges))

    def calls_since(self, moment: float) -> int:
        return sum(call.at > moment for call in self.system.upstream.log().calls)

    def expect_no_call(self, since: float) -> None:
        """Watch the upstream's log for a while: nothing may have come since then."""
        time.sleep(WATCHED_SECONDS)
        calls = self.calls_since(since)
        self.check(f"{calls} calls came before a person had started them", holds=not calls)
        self.operator.note(f"calls in the upstream's log since the loss: {calls}")

    def expect_stopped(self, by: str) -> None:
        stopped = stopping.stopped()
        self.check(f"{by} didn't stop the calls", holds=stopped is not None)
        self.operator.note(f"calls are stopped: {stopped.stopped_why if stopped else 'no'}")

    def expect_none_gone(self, files: Files) -> None:
        self.check(f"files are gone: {files.gone()}", holds=not files.gone())

    def lose(self) -> None:
        """Kill all, and delete database and files."""
        self.kill()
        self.operator.lose_database()
        shutil.rmtree(self.system.environment.folder / "data")

    def upload(self, team: Team) -> bool:
        """Upload some pictures; return True if they were accepted."""
        chance = random.Random(self.system.chance.random())  # noqa: S311 - pictures that replay
        return self.clients.upload(team, str(uuid4()), chance)

    def wait_for_rest(self) -> None:
        """Wait until nothing is waiting any more, for credits neither."""
        waiting = Job.objects.filter(state__in=WAITING)
        wait_for(lambda: not waiting.exists(), PATIENCE_SECONDS, "the end of what waited")
        self.system.upstream.wait_idle()

    def night(self, plant: Prepare = None) -> Files:
        """Age all files, and let a worker do what is due at night. Return the files as they were before."""
        files, began = Files(self.system), timezone.now()
        files.age()
        PeriodicTask.objects.update_or_create(name="verify", defaults={"due_at": began})
        self.processes.append(self.system.worker(THREADS, plant))
        done = PeriodicTask.objects.filter(name="verify", ran_at__gte=began)
        wait_for(done.exists, PATIENCE_SECONDS, "the nightly verification")
        return files
