"""Take an older release out of the repository's history."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRST_HAS = "jobs/migrations/0018_result_ranges.py"
"""The older release is the commit that added this file: the first whose worker may run beside later ones.

Those before it can't write a transfer's balance, and are stopped before an upgrade (``CHANGELOG.md``).
"""


def older() -> str:
    """Return the older release's commit, or "" if the history doesn't reach there."""
    added = git("log", "--diff-filter=A", "--format=%H", "--", FIRST_HAS).split()
    return added[-1] if added else ""


def has(commit: str) -> bool:
    return bool(commit) and git("cat-file", "-t", commit) == "commit"


def git(*arguments: str) -> str:
    """Return what git prints, "" if it fails or isn't there."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def unpack(commit: str, folder: Path) -> None:
    """Write all files of a commit into a folder."""
    command = ["git", "-C", str(ROOT), "archive", commit]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:  # noqa: S603
        subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout, check=True)  # noqa: S603, S607
