"""Two first ``manage.py prepare`` at once, as two machines start them: one does the work, the other waits."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from chaos.servers import create_database
from chaos.waiting import wait_for
from pixian_web.tests.test_prepare import OPEN, assert_its_users_alone
from tests.site.instance import ROOT, output

pytestmark = pytest.mark.both_databases

AT_ONCE = """
import contextlib, sys, django
django.setup()
from django.core.management import call_command
from pixian_web import prepare_lock
if sys.argv[1] == "unlocked":
    prepare_lock.one_at_a_time = contextlib.nullcontext
print("ready", flush=True)
sys.stdin.readline()
call_command("prepare")
"""
CREATED = """
import django
django.setup()
from accounts.models import Team, Transfer, User
print(User.objects.count(), Team.objects.count(), Transfer.objects.count())
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a new instance with an empty database of its own."""
    own = {"DATA_DIR": str(tmp_path / "data"), "DJANGO_SETTINGS_MODULE": "pixian_web.settings"}
    if server := os.environ.get("DATABASE_URL"):
        own["DATABASE_URL"] = create_database(server, f"prepare_{uuid4().hex}")
    return os.environ | own


def prepare_twice(env: dict[str, str], how: str) -> list[tuple[int, str]]:
    """Run two at once; return each one's exit status and what it wrote to stderr."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, how],
            cwd=ROOT,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=OPEN,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    if how == "unlocked":
        wait_for(lambda: one_failed(processes) or both_ended(processes), 150, "the end of one")
        for process in processes:
            process.kill()  # once one has failed, the other has nothing more to show
    written = [process.communicate(timeout=150)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, written, strict=True)]


def one_failed(processes: "list[subprocess.Popen[str]]") -> bool:
    return any(process.poll() for process in processes)


def both_ended(processes: "list[subprocess.Popen[str]]") -> bool:
    return all(process.poll() is not None for process in processes)


def test_both_succeed_and_create_one_owner_and_team(env: dict[str, str]) -> None:
    assert prepare_twice(env, "locked") == [(0, ""), (0, "")]
    assert output(env, "-c", CREATED).split() == ["1", "1", "1"]
    if "DATABASE_URL" not in env:
        assert_its_users_alone(Path(env["DATA_DIR"]))


def test_control_without_the_lock_one_fails(env: dict[str, str]) -> None:
    assert max(status for status, _text in prepare_twice(env, "unlocked")) == 1
