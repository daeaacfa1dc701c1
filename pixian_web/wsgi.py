"""The web process's entry: ``gunicorn pixian_web.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pixian_web.settings")
application = get_wsgi_application()

from jobs import relay  # noqa: E402 - Django is set up by now
from jobs.api import calls  # noqa: E402

relay.begin(calls.upstream())
