"""The WSGI application as a process loads it."""

import os
import subprocess
import sys

LOADED = "import gc, sys, pixian_web.wsgi; print('jobs.views.history' in sys.modules, gc.get_freeze_count())"


def test_what_is_loaded_is_not_searched_for_garbage_again() -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "pixian_web.settings"}
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    views_are_loaded, frozen = done.stdout.split()
    assert views_are_loaded == "True"
    assert int(frozen) > 100_000
