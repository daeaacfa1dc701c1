"""The face by which a test tells the upstream what to do: JSON, on a port of its own, which stays open
while the other refuses connections."""

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from chaos.upstream.answers import json_answer
from chaos.upstream.journal import Journal, Purchase
from chaos.upstream.server import Upstream
from chaos.upstream.steps import fault, steps
from chaos.upstream.wire import Head, Wire, read_body, read_head


class Control:
    """One method for each address; what it returns is the answer."""

    def __init__(self, upstream: Upstream, journal: Journal) -> None:
        self._upstream = upstream
        self._chooser = upstream.chooser
        self._journal = journal
        self._routes: dict[tuple[str, str], Callable[[Any], object]] = {
            ("GET", "/control/status"): self._status,
            ("POST", "/control/script"): lambda script: self._chooser.script.extend(steps(script)),
            ("POST", "/control/account"): lambda script: self._chooser.account.extend(steps(script)),
            ("POST", "/control/by-sha256"): self._by_sha256,
            ("POST", "/control/clear"): self._clear,
            ("POST", "/control/purchase"): self._purchase,
            ("POST", "/control/refuse"): lambda given: upstream.door.close(given["seconds"]),
            ("POST", "/control/reset"): self._reset,
        }

    async def talk(self, wire: Wire) -> None:
        while head := await read_head(wire.reader):
            status, told = await self._told(head, await read_body(head, wire))
            answer = json_answer(status, json.dumps(told))
            wire.writer.write(answer.head + answer.body)
            await wire.writer.drain()

    async def _told(self, head: Head, body: bytes) -> tuple[int, object]:
        try:
            if (head.method, head.path) == ("POST", "/control/open"):
                await self._upstream.door.open()
                return 200, None
            route = self._routes[head.method, head.path]
            return 200, route(json.loads(body or b"null"))
        except (KeyError, TypeError, ValueError) as error:
            return 400, f"{type(error).__name__}: {error}"

    def _status(self, _: object) -> object:
        calls = self._upstream.calls
        return {
            "calls": calls.last,
            "in_flight": calls.in_flight,
            "script": [step.name for step in self._chooser.script],
            "balance_microcredits": calls.balance_microcredits,
        }

    def _clear(self, _: object) -> None:
        self._chooser.clear()
        self._upstream.door.resets = 0

    def _by_sha256(self, given: Any) -> None:
        """A list is used up, a single fault holds for each call with the picture."""
        sha256, wanted = given["sha256"], given["faults"]
        if isinstance(wanted, list):
            self._chooser.pictures[sha256] = deque(steps(wanted))
        else:
            self._chooser.always[sha256] = fault(wanted)

    def _purchase(self, given: Any) -> None:
        self._journal.write(Purchase(time.time(), int(given["microcredits"])))
        self._journal.sync()

    def _reset(self, given: Any) -> None:
        self._upstream.door.resets = int(given["connections"])
