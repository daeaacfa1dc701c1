"""Which fault a call gets: by its header, a script, its picture or the seed, in this order."""

import hashlib
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate

from chaos.upstream.fault import Fault
from chaos.upstream.faults import FAULTS

OK = FAULTS["ok"]
LONGEST_RUN = max(fault.run for fault in FAULTS.values())

Mix = tuple[tuple[str, int], ...]
"""Names of faults and their weights."""


def parse_mix(text: str) -> Mix:
    """``ok=80,slow_down=5``; raises ValueError for an unknown name or a weight that is no number."""
    pairs = [pair.strip().partition("=") for pair in text.split(",")]
    if unknown := [name for name, _, _ in pairs if name not in FAULTS]:
        raise ValueError(f"{unknown[0]!r} is no fault")
    mix = tuple((name, int(weight)) for name, _, weight in pairs)
    if min(weight for _, weight in mix) < 1:
        raise ValueError("A weight is at least 1")
    return mix


def drawn(seed: int, mix: Mix, number: int) -> Fault:
    """The fault of the call with this number: a pure function, so that a run replays."""
    for back in reversed(range(LONGEST_RUN)):
        fault = _draw(seed, mix, number - back)
        if fault.run > back:
            break
    return fault


def _draw(seed: int, mix: Mix, number: int) -> Fault:
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()
    *_, total = bounds = list(accumulate(weight for _, weight in mix))
    name, _ = mix[bisect_right(bounds, int.from_bytes(digest) % total)]
    return FAULTS[name]


@dataclass(frozen=True)
class Plan:
    """``settled``: not to be changed by the picture."""

    fault: Fault
    settled: bool


@dataclass
class Chooser:
    """``script`` is used up in the order in which calls arrive; ``account`` likewise, by account calls.

    A picture's faults are used up too, but a single one (``always``) holds for every call with it.
    """

    seed: int = 0
    mix: Mix = (("ok", 1),)
    script: deque[Fault] = field(default_factory=deque)
    account: deque[Fault] = field(default_factory=deque)
    pictures: dict[str, deque[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)

    def plan(self, number: int, asked: Fault | None) -> Plan:
        """At the head of a call, when its picture isn't known yet."""
        if asked:
            return Plan(asked, settled=True)
        if self.script:
            return Plan(self.script.popleft(), settled=True)
        return Plan(drawn(self.seed, self.mix, number), settled=False)

    def judge(self, plan: Plan, sha256: str) -> Fault:
        """When its picture is known."""
        if plan.settled:
            return plan.fault
        if left := self.pictures.get(sha256):
            return left.popleft()
        return self.always.get(sha256, plan.fault)

    def for_account(self) -> Fault:
        return self.account.popleft() if self.account else OK

    def clear(self) -> None:
        """Back to the seed."""
        for given in (self.script, self.account, self.pictures, self.always):
            given.clear()
