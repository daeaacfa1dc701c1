"""How gunicorn's processes log: like everything else, each line with its date, time and offset."""

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
    # Through the root's handler: an application that configures that one, as Django does, logs these too.
    "loggers": {
        name: {"level": "WARNING", "handlers": [], "propagate": True, "qualname": name}
        for name in ("gunicorn.error", "gunicorn.access")
    },
}
