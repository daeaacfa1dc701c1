"""When a line was logged."""

from datetime import UTC, datetime

from structlog.typing import EventDict, WrappedLogger


def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the date, the time and its offset to a line, in the instance's time zone."""
    event["timestamp"] = datetime.now(UTC).astimezone().isoformat(timespec="milliseconds")
    return event
