"""Gather what somebody who helps needs to know of an instance, without secrets, addresses, names or pictures.

Text that people wrote never gets in: of the log only fields that are known to hold none, of the findings only
their numbers. What is left is searched for email addresses and this instance's secrets all the same.
"""

import json
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import translation
from django.utils.translation import gettext as _
from prometheus_client.exposition import generate_latest

from engine.environment import Environment, Secrecy
from jobs.models import Verification
from pixian_web import health, logs, metrics
from pixian_web.env import MASK
from pixian_web.staff import settings_page

LOG_BYTES = 1024 * 1024
LEAST_SECRET = 6
EMAIL = re.compile(r"[^\s@\"'<>(),;:=\[\]]+@[^\s@\"'<>(),;:=\[\]]+")
KNOWN_FIELDS = (
    *("timestamp", "level", "logger", "request_id", "job", "attempt", "status", "state", "reason"),
    *("call", "seconds", "charged", "task", "kind", "part", "tries", "failures", "delivery"),
)


def contents() -> Iterator[tuple[str, str]]:
    """Yield each file of the bundle by its name, in English. A part that fails says so and stops no other."""
    with translation.override("en"):
        for name, part in PARTS.items():
            try:
                text = part()
            except Exception as error:  # noqa: BLE001 - most needed when something is broken
                text = f"{type(error).__name__}\n"
            yield name, _without_secrets(text)


def _versions() -> str:
    return _json(
        {
            "python": platform.python_version(),
            "system": platform.platform(),
            "database": f"{connection.display_name} {'.'.join(map(str, connection.get_database_version()))}",
            "packages": {package.name: package.version for package in sorted(distributions(), key=str)},
        }
    )


def _settings() -> str:
    rows = [row for _title, rows in settings_page.groups() for row in rows]
    return _json({row.name: {"value": row.value, "from": str(row.source)} for row in rows})


def _migrations() -> str:
    loader = MigrationLoader(connection)
    applied = loader.applied_migrations
    names = sorted(loader.disk_migrations.keys() | applied.keys())
    marks = {True: "applied", False: "missing"}
    return "".join(f"{app} {name}: {marks[(app, name) in applied]}\n" for app, name in names)


def _health() -> str:
    without = _("Books and files")  # their findings name files
    return _json(
        {
            check.name: {"fine": check.fine, "says": "" if check.name == without else check.says}
            for check in health.checks()
        }
    )


def _verification() -> str:
    last = Verification.objects.first()
    if last is None:
        return "never\n"
    findings = Counter(number for number, _sentence in last.findings)
    return _json({"at": last.at.isoformat(), "findings by invariant": findings})


def _figures() -> str:
    return generate_latest(metrics.registry()).decode()


def _log() -> str:
    path = Path(settings.LOG_FILE) if settings.LOG_FILE else None
    if path is None or not path.exists():
        return "LOG_FILE isn't set, or there is no such file yet: look where the processes' output goes.\n"
    lines = _last_lines(path)
    kept = [line for text in lines if (line := _known_fields(text))]
    left_out = f"{len(lines) - len(kept)} lines aren't JSON and are left out (LOG_FORMAT=json).\n"
    return left_out + "".join(kept)


def _last_lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - LOG_BYTES))
        return file.read().decode(errors="replace").splitlines()[1 if size > LOG_BYTES else 0 :]


def _known_fields(text: str) -> str | None:
    """Return a line of the log with what is known to hold no name; None if it isn't JSON."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    if not isinstance(line, dict):
        return None
    kept: dict[str, Any] = {name: line[name] for name in KNOWN_FIELDS if name in line}
    if str(line.get("logger", "")).startswith(logs.OURS):  # others' texts contain paths
        kept["event"] = line.get("event")
    if "exception" in line:
        kept["exception"] = str(line["exception"]).rstrip().rpartition("\n")[2].partition(":")[0]
    return json.dumps(kept, default=str) + "\n"


def _without_secrets(text: str) -> str:
    for secret in _secrets():
        text = text.replace(secret, MASK)
    return EMAIL.sub(MASK, text)


def _secrets() -> set[str]:
    read = {reading.text for reading in Environment.readings.values() if reading.secrecy is Secrecy.SECRET}
    in_force = {settings.SECRET_KEY, settings.PIXIAN_API_SECRET, settings.METRICS_TOKEN}
    return {secret for secret in read | in_force if len(secret) >= LEAST_SECRET}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n"


PARTS: dict[str, Callable[[], str]] = {
    "versions.json": _versions,
    "settings.json": _settings,
    "migrations.txt": _migrations,
    "health.json": _health,
    "verification.json": _verification,
    "figures.txt": _figures,
    "log.txt": _log,
}
