"""Register a web process, and end the calls that killed ones left behind.

It looks for a restored database too, since a site of programs may have no worker.
"""

import threading
import time

import structlog
from django.conf import settings
from django.db import close_old_connections

from jobs.audit import restored
from jobs.calls import streaming
from jobs.calls.upstream import Upstream
from jobs.connections import DATABASE_AWAY
from jobs.queue import claims, deaths, heartbeat, workers
from jobs.queue.heartbeat import HEARTBEATS_PER_LEASE, process_name
from jobs.renditions import apply
from jobs.worker.run import process
from pixian.client.backoff import Backoff

log = structlog.get_logger(__name__)


def start(upstream: Upstream) -> None:
    """Do both in a thread, for as long as this process lives."""
    deaths.announce()
    restored.check_at_start()
    threading.Thread(target=_watch, args=(upstream,), name="watch", daemon=True).start()


def _watch(upstream: Upstream) -> None:
    wait = 0.0
    while True:
        wait = look(upstream, wait)
        time.sleep(settings.LEASE_SECONDS / HEARTBEATS_PER_LEASE)


def look(upstream: Upstream, wait: float = 0) -> float:
    """Register this process, wait so many seconds, and end what others left; return the next look's wait.

    The wait is for the others who live, if the database was away.
    """
    try:
        workers.register(process_name(), settings.WEB_THREADS, workers.Kind.WEB)
        time.sleep(wait)
        restored.check()
        deaths.find()
        reclaim(upstream)
    except claims.LostLeaseError as error:
        log.warning("lease lost, another process has the job", job=str(error))
    except DATABASE_AWAY as error:
        log.warning("the database doesn't answer", error=str(error).strip())
        return heartbeat.STEADY_AFTER_SECONDS
    except Exception:
        log.exception("a program's call couldn't be ended")
        return wait  # which may not have been waited for
    finally:
        close_old_connections()
    return 0


def reclaim(upstream: Upstream) -> None:
    """End calls whose process is gone, by what was recorded; see ``claims.reclaim``. No call is made."""
    while job := claims.reclaim(f"{process_name()}:watch"):
        with streaming.leases().held(job):
            process(job, upstream, Backoff())
        apply.follow(job)
        log.info("a call was ended after its process was gone", job=job.pk, state=job.state)
