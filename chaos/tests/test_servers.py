"""Private servers start, die, come back with what they acknowledged, and leave nothing behind."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from chaos import servers
from chaos.process import children
from chaos.servers import NotStartedError, Postgres, postgres, postgres_lacks, redis, redis_lacks
from chaos.waiting import wait_for
from conftest import ROOT


@pytest.fixture
def can_postgres() -> None:
    if lacks := postgres_lacks():
        pytest.skip(f"LEFT OUT: {lacks}")


@pytest.fixture
def can_redis() -> None:
    if lacks := redis_lacks():
        pytest.skip(f"LEFT OUT: {lacks}")


@pytest.fixture
def server(can_postgres: None) -> Iterator[Postgres]:
    with postgres() as server:
        yield server


def one(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        (answer,) = connection.execute(query.encode()).fetchone() or (None,)
        return answer


def test_each_database_is_its_own(server: Postgres) -> None:
    url = servers.create_database(server.url, "Other-1")
    assert one(url, "SELECT current_database()") == "Other-1"
    assert one(server.url, "SELECT current_database()") == "postgres"


def test_texts_are_sorted_and_folded_as_the_product_expects(server: Postgres) -> None:
    assert one(server.url, "SELECT upper('é') || ('Z' < 'a')") == "Étrue"


def test_what_was_committed_is_there_after_a_kill_and_nothing_else(server: Postgres) -> None:
    with closing(psycopg.connect(server.url)) as client:
        client.execute("CREATE TABLE acknowledged (number int)")
        client.execute("INSERT INTO acknowledged VALUES (1)")
        client.commit()
        client.execute("INSERT INTO acknowledged VALUES (2)")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            client.commit()
    with pytest.raises(psycopg.OperationalError):
        one(server.url, "SELECT 1")

    server.start()
    assert one(server.url, "SELECT array_agg(number) FROM acknowledged") == [1]


def test_clients_that_are_cut_off_notice_and_may_come_back(server: Postgres) -> None:
    with closing(psycopg.connect(server.url)) as client:
        assert server.terminate_connections() == 1
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    assert one(server.url, "SELECT 1") == 1


def test_settings_are_given(can_postgres: None) -> None:
    with postgres({"synchronous_commit": "off"}) as server:
        assert one(server.url, "SHOW synchronous_commit") == "off"
        assert one(server.url, "SHOW max_connections") == "100"


def test_no_process_and_no_file_is_left_of_postgres(can_postgres: None) -> None:
    with postgres() as server:
        assert server.process
        pids = [server.process.pid, *children(server.process.pid)]
        assert len(pids) > 3
    assert not any(map(servers._lives, pids))
    assert not server.folder.exists()


def test_a_server_that_does_not_come_up_says_why(can_postgres: None) -> None:
    with pytest.raises(NotStartedError, match="shared_buffers"), postgres({"shared_buffers": "many"}):
        raise AssertionError("it came up")


def test_a_killed_redis_forgets(can_redis: None) -> None:
    with redis() as server:
        with Redis.from_url(server.url) as client:
            client.set("key", "here")
        server.kill()
        server.start()
        with Redis.from_url(server.url) as client:
            assert client.get("key") is None


def test_no_process_and_no_file_is_left_of_redis(can_redis: None) -> None:
    with redis() as server:
        assert server.process
    assert server.process.poll() is not None
    assert not server.folder.exists()


KILLED = """
import os, signal
from chaos.servers import postgres, redis
with {server}() as server:
    print(server.process.pid, server.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_nothing_is_left_if_their_user_was_killed(can_postgres: None, can_redis: None, name: str) -> None:
    command = [sys.executable, "-c", KILLED.format(server=name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    pid, folder = done.stdout.split()
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: not (servers._lives(int(pid)) or Path(folder).exists()), 30, "the end of both")


def test_without_programs_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "DEBIAN", tmp_path)
    assert "neither on PATH" in (postgres_lacks() or "")
    assert "redis-server" in (redis_lacks() or "")
    with pytest.raises(NotStartedError, match="PATH"), postgres():
        raise AssertionError("it came up")
    with pytest.raises(NotStartedError, match="PATH"), redis():
        raise AssertionError("it came up")


def test_debians_newest_is_found_if_path_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for version in ("9.6", "15", "16"):
        (tmp_path / version / "bin").mkdir(parents=True)
        for name in ("postgres", "initdb"):
            (tmp_path / version / "bin" / name).touch()
    (tmp_path / "16" / "bin" / "initdb").unlink()  # the client's package alone
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "DEBIAN", tmp_path)
    assert servers.postgres_program("initdb") == str(tmp_path / "15" / "bin" / "initdb")
