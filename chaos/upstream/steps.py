"""Faults as scripts and headers name them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chaos.upstream.fault import Fault
from chaos.upstream.faults import FAULTS

# What a script may change about a fault, and how it is written in JSON.
CHANGES: dict[str, type | tuple[type, ...]] = {
    "charges": bool,
    "delay": (int, float),
    "factor": int,
    "pause": (int, float),
    "refuses": (int, float),
    "resets": int,
    "retry_after": str,
}


def fault(wanted: object) -> Fault:
    """A fault by its name, or ``{"fault": name, ...}`` with some of CHANGES and ``header``, a text or null.

    Raises ValueError for anything else.
    """
    match wanted:
        case str() if wanted in FAULTS:
            return FAULTS[wanted]
        case {"fault": str(name), **changes} if name in FAULTS:
            return replace(FAULTS[name], **_checked(changes))
        case _:
            raise ValueError(f"{wanted!r} is no fault; --faults lists them")


def asked_for(text: str) -> Fault | None:
    """The fault that a header names, bare or as JSON; None without one. Raises ValueError."""
    if not text:
        return None
    return fault(json.loads(text) if text.startswith("{") else text)


def steps(wanted: object) -> list[Fault]:
    """A script: a list of faults, each of which may say ``"times"``. Raises ValueError."""
    if not isinstance(wanted, list):
        raise ValueError("A script is a list")  # noqa: TRY004 - one kind of error for all that is wrong
    made = []
    for step in wanted:
        times = step.pop("times", 1) if isinstance(step, dict) else 1
        made += [fault(step)] * int(times)
    return made


def _checked(changes: Mapping[Any, Any]) -> dict[str, Any]:
    made = dict(changes)
    if "header" in made:
        text = made.pop("header")
        made["header"] = () if text is None else (str(text),)
    for name in made.keys() - {"header"}:
        if name not in CHANGES or not isinstance(made[name], CHANGES[name]):
            raise ValueError(f"{name} can't be changed to {made[name]!r}")
    return made
