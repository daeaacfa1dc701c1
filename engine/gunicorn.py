"""Gunicorn's settings for the engine process.

There is one worker process, so that the network is in memory only once. An event loop reads the requests
(``pixian.server.waitress_worker``), and its threads take turns to compute.
"""

import contextlib
import logging
import socket

from engine.config import Config
from engine.logs import GUNICORN
from pixian.server.waitress_worker import WaitressWorker

CONFIG = Config.from_env()
SOCKET = CONFIG.socket

bind = f"unix:{SOCKET}"
umask = 0o077
workers = 1
worker_class = WaitressWorker
# More than ENGINE_QUEUE, so that a surplus call gets a thread and can be refused with 429.
threads = CONFIG.queue + 4
timeout = 300
graceful_timeout = 30
loglevel = "warning"
control_socket_disable = True
# waitress warns whenever a request waits for a thread, which is normal here.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
logconfig_dict = GUNICORN


def on_starting(_arbiter: object) -> None:
    """Refuse to start if another engine listens at the socket."""
    SOCKET.parent.mkdir(parents=True, exist_ok=True)
    # gunicorn itself would replace the socket without checking, and cut off the other engine.
    with socket.socket(socket.AF_UNIX) as other, contextlib.suppress(OSError):
        other.connect(str(SOCKET))
        raise SystemExit(f"An engine already listens at {SOCKET}: stop it, or set another DATA_DIR")
