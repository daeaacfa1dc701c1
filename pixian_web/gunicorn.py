"""Gunicorn's settings for the web process.

Threads, since uploads and downloads wait for the network most of the time; several processes where programs
call more often than one interpreter can book.
"""

from engine.logs import GUNICORN
from pixian_web.settings import PIXIAN_TIMEOUT, PORT, WEB_PROCESSES, WEB_THREADS

bind = f"127.0.0.1:{PORT}"
workers = WEB_PROCESSES
worker_class = "gthread"
threads = WEB_THREADS
# Above the upstream's longest answer: the gateway makes paid calls inside a request, and one that is cut off
# is in doubt.
timeout = graceful_timeout = PIXIAN_TIMEOUT + 100
loglevel = "warning"
control_socket_disable = True
logconfig_dict = GUNICORN
