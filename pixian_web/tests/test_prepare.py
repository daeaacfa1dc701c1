"""``manage.py prepare``: what it creates is nobody else's to read, and it knows whose files it finds."""

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.site.instance import ROOT, begin

OPEN = 0o022  # a usual umask


def prepare(data_dir: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"DATA_DIR": str(data_dir), "PIXIAN_API_URL": "embedded"} | settings
    env.pop("DATABASE_URL", None)
    command = [sys.executable, "manage.py", "prepare"]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, umask=OPEN, check=True)


def modes(data_dir: Path) -> dict[str, int]:
    """Return the permissions of every file and folder, by name."""
    return {
        str(path.relative_to(data_dir)): stat.S_IMODE(path.stat().st_mode)
        for path in (data_dir, *data_dir.rglob("*"))
    }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an instance that began with its tables; ``test_prepare_lock`` begins with nothing."""
    folder = tmp_path_factory.mktemp("prepared")
    put_empty_database(folder / "data")
    prepare(folder / "data")
    return folder / "data"


def put_empty_database(data_dir: Path) -> None:
    data_dir.mkdir(exist_ok=True)
    template = data_dir.with_name("template")
    begin(template)
    shutil.copyfile(template / "db.sqlite3", data_dir / "db.sqlite3")


@pytest.fixture
def data_dir(prepared: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    shutil.copytree(prepared, tmp_path / "data")
    return tmp_path / "data"


def assert_its_users_alone(data_dir: Path) -> None:
    found = modes(data_dir)
    assert {found[name] for name in (".", "files", "files/.spool", "tmp")} == {0o700}
    assert {found[name] for name in ("db.sqlite3", "files/.instance", "engine-credentials")} == {0o600}


def test_a_new_instance_is_its_users_alone(prepared: Path) -> None:
    assert_its_users_alone(prepared)


def test_the_databases_other_files_are_as_closed_as_it_is(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "db.sqlite3")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE more (n)")
        found = modes(data_dir)
        assert {found["db.sqlite3-wal"], found["db.sqlite3-shm"]} == {0o600}


def test_an_existing_instance_is_closed_to_others(data_dir: Path) -> None:
    """As an earlier version left it, and in use."""
    for path in (data_dir, data_dir / "files", data_dir / "tmp"):
        path.chmod(0o755)
    (data_dir / "db.sqlite3").chmod(0o644)
    with closing(sqlite3.connect(data_dir / "db.sqlite3")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE more (n)")
        database.commit()
        assert modes(data_dir)["db.sqlite3-wal"] == 0o644
        said = prepare(data_dir).stderr
        found = modes(data_dir)
    assert said == "", "nor does a second start say anything of the files"
    assert {found[name] for name in (".", "files", "files/.spool", "tmp")} == {0o700}
    assert {mode for name, mode in found.items() if name.startswith("db.sqlite3")} == {0o600}


def test_a_database_elsewhere_is_closed_and_its_folder_left_alone(data_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (data_dir / "db.sqlite3").rename(elsewhere / "pixian.sqlite3")
    (elsewhere / "pixian.sqlite3").chmod(0o644)
    env = os.environ | {"DATA_DIR": str(data_dir), "DATABASE_URL": f"sqlite:///{elsewhere}/pixian.sqlite3"}
    command = [sys.executable, "manage.py", "prepare"]
    subprocess.run(command, cwd=ROOT, env=env, capture_output=True, umask=OPEN, check=True)
    found = modes(elsewhere)
    assert (found["."], found["pixian.sqlite3"]) == (0o755, 0o600)


def test_a_wrong_database_reports_the_files_and_changes_none(data_dir: Path) -> None:
    """An empty one beside the old files: prepare goes on, and says it plainly."""
    put_empty_database(data_dir)
    kept = data_dir / "files/aurora/1/result-1.png"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"paid")
    id_ = (data_dir / "files/.instance").read_text()
    done = prepare(data_dir)
    assert re.search(
        r"files in .*/files don't belong to this database \(.{36} there, no id here\)", done.stderr
    )
    assert "manage.py adopt_files" in done.stderr
    assert kept.read_bytes() == b"paid"
    assert (data_dir / "files/.instance").read_text() == id_
