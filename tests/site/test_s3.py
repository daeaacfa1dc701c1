"""The S3 server of the tests says what it lacks, and leaves nothing behind."""

from pathlib import Path

import pytest

from tests.site import s3


def test_no_process_and_no_file_is_left() -> None:
    if lacks := s3.swift_lacks():
        pytest.skip(f"LEFT OUT: {lacks}")
    with s3.swift() as server:
        assert server.process
    assert server.process.poll() is not None
    assert not server.folder.exists()


def test_it_says_if_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(s3, "SWIFT_PYTHON", tmp_path / "bin/python")
    assert "make servers" in (s3.swift_lacks() or "")
