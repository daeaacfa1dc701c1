"""Loaded by pytest before Django's settings are: tests never touch a real ``data`` folder.

Subprocesses that a test starts inherit the same environment. With ``TEST_DATABASE=postgresql`` the tests run
on a PostgreSQL of this run's own, which all of its processes share, each with a database of its own in it.
"""

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack

import pytest

from chaos.environment import TEMPLATES
from chaos.servers import NotStartedError, postgres

ON_POSTGRESQL = os.environ.get("TEST_DATABASE") == "postgresql"
STARTED_BY_ANOTHER = "PYTEST_XDIST_WORKER" in os.environ

_folder = tempfile.mkdtemp(prefix="pixian-test-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

if not STARTED_BY_ANOTHER:
    os.environ[TEMPLATES] = f"{_folder}/templates"
    os.mkdir(os.environ[TEMPLATES])  # noqa: PTH102

# WhiteNoise warns where its folder is missing, and warnings are errors here.
os.mkdir(f"{_folder}/static")  # noqa: PTH102

if not (ON_POSTGRESQL and STARTED_BY_ANOTHER):
    os.environ.pop("DATABASE_URL", None)
os.environ.update(
    DATA_DIR=_folder,
    ENGINE_MODEL="fast",
    PIXIAN_API_URL="embedded",
    SECRET_KEY="not a secret",
)
S3 = ("S3_ACCESS_KEY", "S3_BUCKET", "S3_ENDPOINT_URL", "S3_PREFIX", "S3_SECRET_KEY")
OPERATORS = ("EMAIL_FROM", "EMAIL_URL", "PUBLIC_URL", "SIGNUP_OPEN", "TRUSTED_PROXIES")
OIDC = tuple(name for name in os.environ if name.startswith("OIDC_"))
OWN = ("BIND_ADDRESS", "CELERY_BROKER_URL", "PIXIAN_API_ID", "PIXIAN_API_SECRET", "PORT")
for name in (*OWN, *OPERATORS, *S3, *OIDC):
    os.environ.pop(name, None)


def _start_postgresql() -> str | None:
    """Start PostgreSQL and set its address for all processes, or return why it can not be started."""
    servers = ExitStack()
    try:
        server = servers.enter_context(postgres())
    except NotStartedError as error:
        return str(error)
    atexit.register(servers.close)
    os.environ["DATABASE_URL"] = server.url
    return None


_lacks = _start_postgresql() if ON_POSTGRESQL and not STARTED_BY_ANOTHER else None


def pytest_configure() -> None:
    if _lacks:
        pytest.exit(f"LEFT OUT: the tests on PostgreSQL. {_lacks}", returncode=0)
