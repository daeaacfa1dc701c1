"""Logging configuration of gunicorn's processes: lines with date, time and UTC offset."""

from typing import Any

GUNICORN: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "dated": {
            "format": "%(asctime)s [%(levelname)s] %(message)s",
            "datefmt": "%Y-%m-%dT%H:%M:%S%z",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "dated"}},
    "root": {"level": "WARNING", "handlers": ["console"]},
    # They propagate to the root logger, so that an application that configures it, as Django does, formats
    # these lines too.
    "loggers": {
        name: {"level": "WARNING", "handlers": [], "propagate": True, "qualname": name}
        for name in ("gunicorn.error", "gunicorn.access")
    },
}
