"""The WSGI application as a process loads it."""

import os
import subprocess
import sys

LOADED = """
import gc, sys
import pixian_web.wsgi
from django.template import engines
(cache,) = (loader.get_template_cache for loader in engines["django"].engine.template_loaders)
print("jobs.views.history" in sys.modules, "jobs/batch.html" in cache, gc.get_freeze_count())
"""


def test_what_is_loaded_is_not_searched_for_garbage_again() -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "pixian_web.settings"}
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    *are_loaded, frozen = done.stdout.split()
    assert are_loaded == ["True", "True"]
    assert int(frozen) > 100_000
