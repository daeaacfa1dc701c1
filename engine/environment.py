"""Settings read strictly from the environment: a value that can't be used stops the start."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import environ

TRUE = ("true", "yes", "on", "y", "ok", "1")
FALSE = ("false", "no", "off", "n", "0", "")
MAX_DIGITS = 9


class ConfigError(ValueError):
    """A setting that can't be used; the message is one line that names it and says what is allowed."""


class Secrecy(Enum):
    """Say how much of a setting a page may show."""

    OPEN = "open"
    URL = "url"  # all but a password and a query
    ID = "id"  # its beginning
    SECRET = "secret"  # noqa: S105 - nothing but whether it is set


class Source(Enum):
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True)
class Reading:
    """A setting as this process has read it. text, default: before they were parsed."""

    name: str
    text: str
    default: str
    source: Source
    secrecy: Secrecy


class Environment:
    """The environment's variables. Each reader returns the default if its variable isn't set.

    readings: every setting that this process has read, by whichever instance.
    """

    error: type[Exception] = ConfigError
    readings: ClassVar[dict[str, Reading]] = {}
    _file: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self._env = environ.Env()

    @classmethod
    def read_file(cls, path: Path) -> None:
        """Put the settings of a file into the environment, which wins over it."""
        in_file: dict[str, str] = {}
        reader: Any = type("FileReader", (environ.Env,), {"ENVIRON": in_file})
        reader.read_env(path)
        cls._file = in_file
        environ.Env.read_env(path)

    def text(self, name: str, default: str = "", secrecy: Secrecy = Secrecy.OPEN) -> str:
        text = str(self._env.str(name, default=default))
        self.readings[name] = Reading(name, text, default, self._source(name, text), secrecy)
        return text

    def _source(self, name: str, text: str) -> Source:
        # Whatever starts this process may have read the file before and passed it on (Procfile runners do).
        if name not in environ.Env.ENVIRON:
            return Source.DEFAULT
        return Source.FILE if self._file.get(name) == text else Source.ENVIRONMENT

    def secret(self, name: str) -> str:
        """Return a text that no page shows; empty if it isn't set."""
        return self.text(name, secrecy=Secrecy.SECRET)

    def identifier(self, name: str) -> str:
        """Return an Id, of which pages show the beginning; empty if it isn't set."""
        return self.text(name, secrecy=Secrecy.ID)

    def integer(self, name: str, default: int, low: int = 0, high: int = 10**MAX_DIGITS - 1) -> int:
        text = self.text(name, str(default)).strip()
        if not (text.isascii() and text.isdigit() and low <= int(text[: MAX_DIGITS + 1]) <= high):
            self.refuse(name, text, f"a whole number from {low} to {high}")
        return int(text)

    def number(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            self.refuse(name, text, "a number above 0")
        return number

    def boolean(self, name: str, *, default: bool) -> bool:
        text = self.text(name, str(default)).strip().lower()
        if text not in TRUE + FALSE:
            self.refuse(name, text, "true or false")
        return text in TRUE

    def items(self, name: str, default: str = "") -> list[str]:
        """Return the parts of a list that is separated by commas."""
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def refuse(self, name: str, text: str, allowed: str) -> NoReturn:
        """Raise this environment's error for a variable's value."""
        raise self.error(f"{name} is {text!r}; it must be {allowed}")
