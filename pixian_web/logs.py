"""Stamp each log line with its time."""

from datetime import UTC, datetime

from structlog.typing import EventDict, WrappedLogger


def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add date, time and UTC offset to a line, in the instance's time zone."""
    event["timestamp"] = datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
    return event
