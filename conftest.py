"""Fixtures for every test: a world of people and teams, real photos, and a wire of its own."""

import io
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.management.commands import flush as flush_command
from django.db import connection, connections
from django.utils import translation
from httpx._transports import default
from PIL import Image
from pytest_django import Settings

from accounts.ledger import triggers
from accounts.ledger.money import MICROCREDITS
from accounts.models import Membership, Role, Team, Transfer, User
from accounts.teams.create import open_team
from jobs.batches.create import open_batch
from jobs.calls import accounts, prices
from jobs.intake.forms import UploadForm
from jobs.intake.submit import Upload, submit
from jobs.models import Attempt, Job

# How long a machine takes to make examples says nothing about the code.
hypothesis.settings.register_profile(
    "pixian", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("pixian")

ROOT = Path(__file__).parent
PHOTOS = ROOT / "engine/tests/photos"


LEFT_OUT = "LEFT OUT: the browser tests, since chromium is missing (`make browser` installs it)"
CHROMIUM = shutil.which("chromium")
WAITS, INSTANCE, OTHER = range(3)
"""The kinds of test files: experiments, which mostly wait; tests of a whole instance; all others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = _places(items)
    items.sort(key=lambda item: (places[_file(item)], _file(item)))
    if CHROMIUM is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason=LEFT_OUT))


def _places(items: list[pytest.Item]) -> dict[str, float]:
    """Spread the files that wait, those that start an instance and the others evenly over the run.

    So at any time one process waits while others compute. Of each kind, the longest files come first, so
    that at the end no process waits for another.
    """
    kinds: dict[str, int] = {}
    weights: Counter[str] = Counter()
    for item in items:
        file = _file(item)
        kinds[file] = min(_kind(item), kinds.get(file, OTHER))
        weights[file] += _seconds(item)
    places: dict[str, float] = {}
    for kind in set(kinds.values()):
        files = sorted((file for file in kinds if kinds[file] == kind), key=lambda file: -weights[file])
        places |= {file: (place + kind / 3) / len(files) for place, file in enumerate(files)}
    return places


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _kind(item: pytest.Item) -> int:
    if item.nodeid.startswith("chaos/"):
        return WAITS
    starts_an_instance = item.get_closest_marker("browser") or "/test_contract.py" in item.nodeid
    return INSTANCE if starts_an_instance else OTHER


def _seconds(item: pytest.Item) -> int:
    """Weigh a test by how long it may take, if it says so."""
    limit = item.get_closest_marker("timeout")
    return int(limit.args[0]) if limit else 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what couldn't be tested here, each reason once."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = {str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped}
    for reason in sorted(reason for reason in reasons if reason.startswith("LEFT OUT")):
        terminalreporter.write_line(reason, yellow=True, bold=True)


@pytest.fixture
def photo() -> Any:
    """The bytes of a real photo: ``photo("chelsea")``."""
    return lambda name: (PHOTOS / f"{name}.jpg").read_bytes()


@pytest.fixture(autouse=True)
def _own_files(settings: Settings, tmp_path: Path) -> None:
    """Each test's files lie apart. Static files are served as they stand, without a manifest."""
    settings.DATA_DIR = tmp_path
    settings.MEDIA_ROOT = tmp_path / "files"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "files/.spool"
    settings.FILE_UPLOAD_TEMP_DIR.mkdir(parents=True)
    settings.SPOOL_ASIDE_DIR = tmp_path / "tmp"
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _account_and_prices_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """One test's prices and account, undone at its end, mustn't be kept for the next one."""
    monkeypatch.setattr(prices, "KEPT_SECONDS", 0)
    monkeypatch.setattr(accounts, "_known", {})


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """A test's database needn't outlive a power cut; the experiments' do."""
    options = connections.databases["default"].get("OPTIONS", {})
    if "init_command" in options:
        options["init_command"] = options["init_command"].replace("synchronous=FULL", "synchronous=OFF")


@pytest.fixture(autouse=True, scope="session")
def _certificates_are_read_once() -> Iterator[None]:
    """Each client would read the machine's certificates anew, which takes 25 ms or more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default, "create_ssl_context", cache(default.create_ssl_context))  # type: ignore[attr-defined]
        yield


@pytest.fixture(autouse=True)
def _in_english() -> None:
    """A request in French leaves its language to the thread, and so to whatever test comes next."""
    translation.deactivate()


@pytest.fixture(autouse=True, scope="session")
def _tables_can_be_emptied() -> Iterator[None]:
    """Between tests that commit, Django empties every table; the books' triggers would refuse.

    Content types and permissions stay, as no test changes them. To make them anew each time takes longer than
    most tests.
    """
    operations = type(connection.ops)
    flush, listed = operations.execute_sql_flush, operations.sql_flush

    def without_permissions(self: Any, style: Any, tables: list[str], **options: Any) -> list[str]:
        kept = {ContentType._meta.db_table, Permission._meta.db_table}
        emptied: list[str] = listed(self, style, [table for table in tables if table not in kept], **options)
        return emptied

    def unguarded(self: Any, sql: list[str]) -> None:
        triggers.unguard(self.connection)
        flush(self, sql)
        triggers.guard(self.connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "execute_sql_flush", unguarded)
        patch.setattr(operations, "sql_flush", without_permissions)
        patch.setattr(flush_command, "emit_post_migrate_signal", lambda *_, **__: None)
        yield


@dataclass(frozen=True)
class World:
    """alice owns the team and its 100 credits, bob is a member, vera a viewer; charlie is an outsider
    with a team of his own."""

    team: Team
    alice: User
    bob: User
    vera: User
    charlie: User

    def job(
        self, picture: bytes | None = None, user: User | None = None, *, keep: bool = False, **ids: Any
    ) -> Job:
        """A submitted job of the team."""
        sent = upload(picture or small_png(), **ids)
        if sent.batch:
            open_batch(self.team, user or self.alice, sent.batch)
        with sent.file:
            return submit(self.team, user or self.alice, sent, keep=keep)


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def committed_world(transactional_db: None) -> World:
    """The same, visible to other threads and connections."""
    return make_world()


def make_world() -> World:
    people = {
        name: User.objects.create_user(f"{name}@example.org", "correct horse")
        for name in ("alice", "bob", "vera", "charlie")
    }
    team = open_team("Aurora", people["alice"], 100 * MICROCREDITS)
    Membership.objects.create(team=team, user=people["bob"], role=Role.MEMBER)
    Membership.objects.create(team=team, user=people["vera"], role=Role.VIEWER)
    open_team("Outsiders", people["charlie"], 100 * MICROCREDITS)
    return World(team, **people)


def hold_of(attempt: Attempt) -> Transfer:
    assert attempt.hold
    return attempt.hold


def upload(picture: bytes, name: str = "photo.png", **ids: Any) -> Upload:
    """Return a valid upload, its picture in a file as Django receives it."""
    file = TemporaryUploadedFile(name, "image/png", len(picture), None)
    file.write(picture)
    file.seek(0)
    return UploadForm(ids).upload(file, team_id=0)


def small_png(width: int = 1000, height: int = 1000) -> bytes:
    """A megapixel of one colour: a credit at the default price."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (90, 140, 60)).save(file, "PNG")
    return file.getvalue()
