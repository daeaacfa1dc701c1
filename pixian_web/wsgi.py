"""The WSGI application: ``gunicorn pixian_web.wsgi``."""

import gc
import os
import re
from collections.abc import Iterable
from importlib import import_module
from wsgiref.types import StartResponse, WSGIEnvironment

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.template.loader import get_template

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pixian_web.settings")

CHARSET = re.compile(r";\s*charset\s*\*?\s*=[^;]*", re.IGNORECASE)

_django = get_wsgi_application()


def _load() -> None:
    """Load all views and the site's templates, which the first requests would do otherwise."""
    import_module(settings.ROOT_URLCONF)
    folder = settings.BASE_DIR / "templates"
    for path in folder.rglob("*.html"):
        get_template(str(path.relative_to(folder)))


_load()
# What is loaded by now is never garbage. To find that out again takes each full collection 80 ms or more, in
# which every thread stands still.
gc.collect()
gc.freeze()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve a request, reading its text as UTF-8 whatever its Content-Type says.

    Django would decode forms and queries with any codec that Python knows. Some make lone surrogates, which
    no database takes; those that aren't for text ("hex") make it fail before any view or error page.
    """
    if "CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = CHARSET.sub("", environ["CONTENT_TYPE"])
    return _django(environ, start_response)
