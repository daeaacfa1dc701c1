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
    was_away = False
    while True:
        try:
            workers.register(process_name(), settings.WEB_THREADS, workers.Kind.WEB)
            if was_away:
                time.sleep(heartbeat.STEADY_AFTER_SECONDS)
            was_away = False
            restored.check()
            deaths.find()
            reclaim(upstream)
        except claims.LostLeaseError as error:
            log.warning("lease lost, another process has the job", job=str(error))
        except DATABASE_AWAY as error:
            log.warning("the database doesn't answer", error=str(error).strip())
            was_away = True
        except Exception:
            log.exception("a program's call couldn't be ended")
        finally:
            close_old_connections()
        time.sleep(settings.LEASE_SECONDS / HEARTBEATS_PER_LEASE)


def reclaim(upstream: Upstream) -> None:
    """End calls whose process is gone, by what was recorded; see ``claims.reclaim``. No call is made."""
    while job := claims.reclaim(f"{process_name()}:watch"):
        with streaming.leases().held(job):
            process(job, upstream, Backoff())
        apply.follow(job)
        log.info("a call was ended after its process was gone", job=job.pk, state=job.state)
