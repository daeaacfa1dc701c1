"""E33 in its short form: a disk that is full a few times."""

from pathlib import Path

import pytest

from chaos.tests.played import Play
from chaos.volumes import NotMountedError, mounted


@pytest.mark.timeout(300)
def test_nothing_is_lost_while_the_disk_is_full(play: Play, tmp_path: Path) -> None:
    try:
        with mounted(tmp_path, megabytes=1):
            pass
    except NotMountedError as error:
        pytest.skip(f"LEFT OUT: the disk that is full, since {error}")
    full = play("full", "--database", "sqlite", "--fills", 2)
    assert full["failures"] == 0, full.output
    assert full["unwritten"] > 0, "the database never found the disk full"
    assert full["acknowledged"] > 20
    assert full["refused"] > 0
    assert full["control"] > 0, "calls that weren't waited for weren't noticed"
    assert full.code == 0
