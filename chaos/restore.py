"""E26, back-up and restore, as a drill.

Under load the database is dumped and the files are copied, by the commands of docs/operating.md; the upstream
charges on for calls that the copy won't know. All processes are killed, database and files are deleted and
restored, as the manual says. No call may come before a person starts them; what was charged in between must
be missing from the balance to the micro-credit, and mustn't be paid a second time. Then an older dump is
restored beside the newer files, and an empty database: both are noticed, and no file may be lost.

The controls are a worker that calls though it is told not to, and a sweep that deletes what no row names.
"""

import argparse
import time
from contextlib import suppress

from accounts.ledger.money import to_credits
from accounts.models import User
from accounts.teams.create import open_team
from chaos import patches
from chaos.checker import wrong_results
from chaos.clients import Clients
from chaos.drill import THREADS, WATCHED_SECONDS, Drill
from chaos.experiments import Outcome, say
from chaos.operator import Operator
from chaos.restore_checks import (
    Forgotten,
    called_again,
    forgotten,
    missing_microcredits,
    unstated_microcredits,
)
from chaos.system import System
from chaos.waiting import wait_for
from jobs.models import BalancePeriod, Batch, Job
from jobs.storage import spool

OWNER = "owner@localhost"
NOTICED_WITHIN_SECONDS = 30
TOO_MANY = 429
FOREIGN = "don't belong to this database"


def run(system: System, options: argparse.Namespace) -> Outcome:
    """Play the drill, and print its transcript even if it breaks off."""
    operator = Operator(system)
    try:
        return play(system, operator, options)
    finally:
        say(operator.says())


def play(system: System, operator: Operator, options: argparse.Namespace) -> Outcome:
    patches.short_slack()
    operator.begin("Before the first picture")
    operator.dump("empty")
    operator.manage("prepare", shown=False)
    drill = Drill(system, operator, Clients(system, str(options.seed)), open_team("Poor", system.user, 1))
    operator.manage("reconcile", shown=False)
    dumped_at = under_load(drill, options.seconds)
    lost = lose_and_restore(drill, dumped_at)
    settle_books(drill, lost)
    start_again(drill, lost)
    night(drill, lost)
    restore_older(drill)
    ignoring = control_of_workers(drill)
    restore_empty(drill)
    deleting = control_of_sweep(drill)
    found = [*drill.wrong, *operator.wrong]
    return Outcome(found, {"control": deleting, "called": ignoring}, drill.facts)


def under_load(drill: Drill, seconds: float) -> float:
    """Back up twice, then with the files, and lose all of it; return when the second dump began."""
    drill.start()
    drill.check("a team without credits can't upload", holds=drill.upload(drill.poor))
    drill.processes += drill.clients.start()
    drill.go_on(seconds / 2)
    drill.operator.begin("Back up, under load")
    drill.operator.dump("older")
    drill.go_on(seconds / 2)
    dumped_at = time.time()
    drill.operator.dump("newer")
    drill.operator.shell("cp -a data/files backup/files", harmless=f"/{spool.NAME}/")  # those come and go
    drill.operator.begin("After the backup")
    # What waited for credits starts by itself, and is charged; the copy knows nothing of it.
    drill.operator.manage("grant", drill.poor.slug, "1000", "--by", OWNER)
    drill.operator.do("load goes on", lambda: drill.go_on(seconds, drill.poor))
    drill.operator.do("kill -9 for every process; database and files are deleted", drill.lose)
    return dumped_at


def lose_and_restore(drill: Drill, dumped_at: float) -> Forgotten:
    """Restore database and files, and start. Return what is forgotten."""
    system, operator, lost_at = drill.system, drill.operator, time.time()
    operator.begin("Restore the database and the files")
    operator.shell("mkdir -p data && cp -a backup/files data/files")
    operator.restore("newer")
    lost = forgotten(system.upstream.log(), list(drill.clients.acknowledged()), dumped_at)
    before = [each.sha256[:12] for each in lost.lost if each.at < dumped_at]
    drill.check(f"acknowledged before the dump, and gone: {before}", holds=not before)
    operator.manage("prepare", shown=False)
    drill.expect_stopped("prepare")
    operator.manage("stop_calls", "--why", "restored from today's backup")
    operator.manage("verify")
    operator.do("start web and workers", drill.start)
    drill.check("an upload was refused while calls are stopped", holds=drill.upload(system.teams[0]))
    answer = drill.clients.call()
    drill.check(f"a program was answered {answer} while calls are stopped", holds=answer == TOO_MANY)
    drill.expect_no_call(lost_at)
    uploads = sum(not each.by_program for each in lost.lost)
    drill.facts |= {"lost_uploads": uploads, "paid_since": len(lost.paid)}
    operator.note(f"acknowledged uploads that the copy doesn't have: {uploads}")
    operator.note(f"results of programs' calls that it doesn't have: {len(lost.lost) - uploads}")
    operator.note(f"pictures that wait in it unsent: {len(lost.unsent)}, charged since: {len(lost.paid)}")
    return lost


def settle_books(drill: Drill, lost: Forgotten) -> None:
    """Enter what was charged in between, as the balance says it, until nothing is left to a person."""
    operator = drill.operator
    operator.begin("Name what was charged since the backup")
    operator.manage("reconcile", status=1)
    found = missing_microcredits()
    drill.check(
        f"the balance lacks {found}, and the log says {lost.microcredits}", holds=found == lost.microcredits
    )
    operator.note(f"missing by the balance: {to_credits(found)}; by the log: {to_credits(lost.microcredits)}")
    owner = User.objects.get(email=OWNER)
    last = BalancePeriod.objects.latest("closing")
    operator.enter_difference(owner, last.pk)
    operator.manage("reconcile", "--settle", "--by", OWNER)
    left = missing_microcredits()
    drill.check(f"{left} is missing after all was entered", holds=not left)
    operator.note(f"difference: {to_credits(left)}")


def start_again(drill: Drill, lost: Forgotten) -> None:
    """Start the calls with what waits paused; the teams then resume what they don't have."""
    system, operator, began = drill.system, drill.operator, time.time()
    operator.begin("Start the calls")
    operator.manage("start_calls", "--by", OWNER, "--pause")
    operator.manage("grant", drill.poor.slug, "1000", "--by", OWNER)
    time.sleep(2 * WATCHED_SECONDS)
    drill.wrong += called_again(system.upstream.log(), lost.unsent, began)
    resumed = sum(_resume(drill, batch, lost) for batch in Batch.objects.exclude(paused_at=None))
    operator.note(f"batches that their teams resumed, without what they have already: {resumed}")
    drill.check("an upload was refused", holds=drill.upload(system.teams[0]))
    operator.do("all that waited is cut out", drill.wait_for_rest)
    drill.check("a program was refused", holds=drill.clients.call() != TOO_MANY)
    log = system.upstream.log()
    drill.wrong += called_again(log, lost.paid, began)
    drill.wrong += wrong_results(Job.objects.filter(reused_from=None))


def _resume(drill: Drill, batch: Batch, lost: Forgotten) -> bool:
    """Do what the team does: cancel the pictures that it has already, and resume the batch."""
    have = batch.jobs.filter(source_sha256__in=lost.paid).values_list("pk", flat=True)
    team = batch.team
    cancelled = not have or drill.clients.control(team, batch.pk, action="cancel", job=list(have))
    return cancelled and drill.clients.control(team, batch.pk, action="resume")


def night(drill: Drill, lost: Forgotten) -> None:
    """Let a night pass: the sweep of strays runs, and then the operator looks at what is left.

    Nothing but what calls in doubt since then were charged may be missing.
    """
    operator = drill.operator
    operator.begin("The next night, and the files that are newer than the dump")
    files = drill.night()
    operator.manage("quarantine", "move")
    operator.manage("verify")
    operator.manage("reconcile", status=None, shown=False)  # faults go on, so new calls are in doubt
    missing, unknown = missing_microcredits(), unstated_microcredits(drill.system.upstream.log())
    drill.check(
        f"{missing} is missing in the end, and the log says {unknown - lost.microcredits}",
        holds=missing == unknown - lost.microcredits,
    )
    drill.expect_none_gone(files)
    operator.note(f"files gone: {len(files.gone())}; in quarantine: {files.moved()}")


def restore_older(drill: Drill) -> None:
    """Restore an older dump beside the newer files; nobody stops the calls."""
    drill.operator.begin("An older dump beside the newer files, without stop_calls")
    drill.kill()
    lost_at = time.time()
    drill.operator.lose_database()
    drill.operator.restore("older")
    drill.operator.manage("prepare", shown=False)
    drill.operator.do("start web and workers", drill.start)
    drill.expect_stopped("the start")
    drill.expect_no_call(lost_at)
    files = drill.night()
    drill.expect_none_gone(files)
    drill.operator.note(f"files gone in the next night: {len(files.gone())}; moved: {files.moved()}")


def control_of_workers(drill: Drill) -> int:
    """Count the calls of a worker that doesn't look if calls are stopped."""
    began = time.time()
    drill.processes.append(drill.system.worker(THREADS, patches.call_though_stopped))
    with suppress(TimeoutError):
        wait_for(lambda: drill.calls_since(began), NOTICED_WITHIN_SECONDS, "a call")
    drill.kill()
    return drill.calls_since(began)


def restore_empty(drill: Drill) -> None:
    """Start with a database that has no picture yet, on the same files."""
    drill.operator.begin("An empty database on the same files")
    drill.operator.lose_database()
    drill.operator.restore("empty")
    said = drill.operator.manage("prepare")
    drill.check("prepare doesn't say that the files belong to another database", holds=FOREIGN in said)
    drill.operator.do("start web and workers", drill.start)
    drill.expect_stopped("the start")
    files = drill.night()
    stayed = len(files.names) - files.moved()
    drill.check(f"files were moved: {files.moved()}", holds=not files.moved())
    drill.expect_none_gone(files)
    drill.operator.note(f"files gone in the next night: {len(files.gone())}; in their place: {stayed}")


def control_of_sweep(drill: Drill) -> int:
    """Count the files that are gone if the sweep deletes what no row names."""
    drill.kill()
    files = drill.night(patches.delete_strays)
    drill.kill()
    return len(files.gone())
