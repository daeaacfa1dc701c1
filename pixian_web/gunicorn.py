"""Gunicorn's settings for the web process.

One process with threads: uploads and downloads wait for the network most of the time.
"""

from pixian_web.settings import PORT, WEB_THREADS

bind = f"127.0.0.1:{PORT}"
workers = 1
worker_class = "gthread"
threads = WEB_THREADS
# Above the upstream's longest answer: the team gateway makes paid calls inside a request.
timeout = 300
graceful_timeout = 30
loglevel = "warning"
control_socket_disable = True
