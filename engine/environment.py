"""Settings read strictly from the environment: a value that can't be used stops the start."""

import math
from typing import NoReturn

import environ

TRUE = ("true", "yes", "on", "y", "ok", "1")
FALSE = ("false", "no", "off", "n", "0", "")
MAX_DIGITS = 9


class ConfigError(ValueError):
    """A setting that can't be used; the message is one line that names it and says what is allowed."""


class Environment:
    """The environment's variables. Each reader returns the default if its variable isn't set."""

    error: type[Exception] = ConfigError

    def __init__(self) -> None:
        self._env = environ.Env()

    def text(self, name: str, default: str = "") -> str:
        return str(self._env.str(name, default=default))

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
