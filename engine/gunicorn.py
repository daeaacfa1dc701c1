"""Gunicorn's settings for the engine process.

One process, so that the network is in memory once. Requests are read by one loop
(``pixian.server.waitress_worker``), and threads wait their turn to compute.
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
# More than may be inside at once, so that the one too many is told to slow down.
threads = CONFIG.queue + 4
timeout = 300
graceful_timeout = 30
loglevel = "warning"
control_socket_disable = True
logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a request that waits for a thread is no event
logconfig_dict = GUNICORN


def on_starting(_arbiter: object) -> None:
    """Before gunicorn takes the socket's path, which it would do without asking who listens there."""
    SOCKET.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as other, contextlib.suppress(OSError):
        other.connect(str(SOCKET))
        raise SystemExit(f"An engine already listens at {SOCKET}: stop it, or set another DATA_DIR")
