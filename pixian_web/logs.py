"""Configure logs: lines for people or JSON, each with its time, level, logger and HTTP request."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from accounts import request_id

TEXT, JSON = "text", "json"
OURS = ("accounts", "jobs", "pixian_web")


def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add date, time and UTC offset to a line, in the instance's time zone."""
    event["timestamp"] = datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
    return event


def name_request(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the id of the HTTP request that the line's work is done for, if it is done for one."""
    if name := request_id.current():
        event["request_id"] = name
    return event


_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    stamp,
    name_request,
]

# Plain tracebacks, since richer ones print local variables, and secrets with them.
_RENDERERS: dict[str, list[Processor]] = {
    TEXT: [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)],
    JSON: [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)],
}


def configure() -> None:
    """Let structlog hand its lines to the standard library's loggers."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def formatter(style: str) -> dict[str, Any]:
    """Return the formatter of every line, for ``logging.config``. style: TEXT or JSON."""
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_RENDERERS[style]],
        "foreign_pre_chain": _SHARED,
    }


def configuration(level: str, style: str, file: Path | None) -> dict[str, Any]:
    """Return Django's LOGGING. file: the log goes there too; what rotates it may rename it."""
    handlers: dict[str, Any] = {"console": {"class": "logging.StreamHandler", "formatter": style}}
    if file:
        handlers["file"] = {
            "class": "logging.handlers.WatchedFileHandler",
            "formatter": style,
            "filename": str(file),
            "delay": True,
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {style: formatter(style)},
        "filters": {"tokens_hidden": {"()": "accounts.auth.log_redaction.TokensHidden"}},
        "handlers": handlers,
        "root": {"handlers": list(handlers), "level": "WARNING"},
        "loggers": {name: {"level": level} for name in OURS}
        | {name: {"filters": ["tokens_hidden"]} for name in ("django.request", "django.security.csrf")},
    }
