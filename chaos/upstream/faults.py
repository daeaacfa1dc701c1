"""Every fault by its name: what it answers, how much of that leaves, and what the connection does next.

Delays and pauses are seconds that ``Settings.scale`` multiplies.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import Any

from pixian.protocol.errors import ApiError

CREDITS = "{credits}"  # stands for the charged amount in a header's text, as the contract writes it
Mix = tuple[tuple[str, int], ...]  # names of faults and their weights
Step = str | dict[str, Any]
"""A fault's name, or ``{"fault": name, "delay": 7, …}``."""


class Body(StrEnum):
    PICTURE = "picture"
    ENVELOPE = "envelope"
    HTML = "html"
    EMPTY = "empty"
    NOISE = "noise"  # not HTTP at all


class Sends(StrEnum):
    """The part of the response that is sent."""

    NOTHING = "nothing"
    TORN_HEAD = "torn_head"
    HEAD = "head"
    HALF = "half"
    MOST = "most"  # enough for a picture's header, too little for its pixels
    SLOWLY = "slowly"  # the body in pieces, with a pause before each
    ALL = "all"


class Then(StrEnum):
    """The fate of the connection afterwards."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"  # it stays open without a byte until the client hangs up


@dataclass(frozen=True)
class Fault:
    """One way to respond. ``about`` is the message if the body is an envelope.

    early: decided on the request's head; the upload isn't awaited. factor: charge this many times the price.
    header: the texts of X-Credits-Charged, one header each. length: send Content-Length; without it the end
    of the connection ends the body. run: the seed draws this many in a row. refuses, resets: afterwards,
    seconds without a listener, and connections to reset on accept.

    For scripts in the same process: content is sent as the body, microcredits are charged whatever the
    picture, headers are added, and ``before`` runs in a thread while the client waits.
    """

    about: str
    name: str = ""
    status: int = 200
    code: int = 0
    body: Body = Body.ENVELOPE
    content_type: str = ""
    retry_after: str = ""
    early: bool = False
    delay: float = 0
    pause: float = 0
    charges: bool = False
    factor: int = 1
    header: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    length: bool = True
    sends: Sends = Sends.ALL
    then: Then = Then.KEEP
    run: int = 1
    refuses: float = 0
    resets: int = 0
    content: bytes | None = None
    microcredits: int | None = None
    before: Callable[[], object] | None = None

    @property
    def works(self) -> bool:
        """True if it looks at the picture, which then has to be one."""
        scripted = self.microcredits is not None or self.content is not None
        return not scripted and (self.charges or self.body is Body.PICTURE)

    @property
    def sent_status(self) -> int | None:
        """The status that reaches the client; None if no status line does."""
        unseen = self.sends in (Sends.NOTHING, Sends.TORN_HEAD) or self.body is Body.NOISE
        return None if unseen else self.status


_NAMED: dict[str, Any] = {"charges": True, "header": (CREDITS,)}


def refusal(error: ApiError) -> Fault:
    """Return what the contract itself answers, as a fault named like ``400/1006``."""
    name = f"{error.status}/{error.code}"
    return Fault(error.message, name, status=error.status, code=error.code)


def _served(about: str, **changes: Any) -> Fault:
    """Serve the result with 200, charge for it, and name the charge."""
    return Fault(about, **_NAMED | {"body": Body.PICTURE} | changes)


def _error(status: int, code: int, about: str, **changes: Any) -> Fault:
    return Fault(about, status=status, code=code, **changes)


def _page(status: int, about: str, **changes: Any) -> Fault:
    return Fault(about, status=status, body=Body.HTML, **changes)


def _redirect(status: int, location: str, about: str) -> Fault:
    return Fault(about, status=status, body=Body.EMPTY, headers=(("Location", location),))


def _lost(about: str, then: Then, **changes: Any) -> Fault:
    """Send no status line."""
    return Fault(about, sends=Sends.NOTHING, then=then, **changes)


_TABLE = {
    "ok": _served("The result."),
    "free": _served("The result, and 0 charged.", factor=0),
    "above_hold": _served("Three times the price is charged and named.", factor=3),
    "no_charge_header": _served("Charged, and no header says so.", header=()),
    "seven_decimals": _served("A header finer than a micro-credit.", header=("{credits}1",)),
    "unreadable_charge": _served("A header in words; the price is charged.", header=("one or so",)),
    "negative_charge": _served("A header below 0; the price is charged.", header=("-{credits}",)),
    "two_charge_headers": _served("The header twice; the price is charged once.", header=(CREDITS, CREDITS)),
    "wrong_type": _served("The result as text/html.", content_type="text/html"),
    "not_a_picture": _served("HTML as image/png.", body=Body.HTML, content_type="image/png"),
    "empty_body": _served("A result of 0 bytes.", body=Body.EMPTY, content_type="image/png"),
    "slow_body": _served("The body in pieces, 60 s before each.", sends=Sends.SLOWLY, pause=60),
    "then_refuse": _served("The result; then no connection for 5 s.", refuses=5),
    "then_reset": _served("The result; then the next connection is reset on accept.", resets=1),
    # The response breaks off.
    "cut_head": _served("The connection ends in the headers.", sends=Sends.TORN_HEAD, then=Then.CLOSE),
    "cut_body": _served("The connection ends in the body.", sends=Sends.MOST, then=Then.CLOSE),
    "cut_unseen": _served("The same without a length.", sends=Sends.MOST, then=Then.CLOSE, length=False),
    "reset_body": _served("The connection is reset in the body.", sends=Sends.MOST, then=Then.RESET),
    "silent_head": _served("The headers, then silence.", sends=Sends.HEAD, then=Then.SILENCE),
    "silent_body": _served("Most of the body, then silence.", sends=Sends.MOST, then=Then.SILENCE),
    # The upstream refuses the call.
    "no_image": _error(400, 1005, "There is no image parameter."),
    "unreadable": _error(400, 1006, "The picture can't be read."),
    "image_as_text": _error(400, 1016, "The file came as text."),
    "bad_parameter": _error(400, 1019, "max_pixels is 'many'; it must be an integer."),
    "url_not_200": _error(400, 1020, "The URL answered HTTP 404."),
    "url_not_image": _error(400, 1021, "The URL isn't an image's."),
    "url_failed": _error(400, 1022, "The URL couldn't be fetched."),
    "result_too_large": _error(400, 1023, "The result would be too large."),
    "url_unparseable": _error(400, 1024, "The URL can't be used."),
    "id_unknown": _error(401, 1001, "The API Id is unknown."),
    "key_disabled": _error(401, 1002, "The API key is disabled."),
    "suspended": _error(401, 1003, "The account is suspended."),
    "secret_wrong": _error(401, 1004, "The API secret is wrong."),
    "no_plan": _error(402, 1008, "The account has no plan."),
    "dormant": _error(402, 1010, "The account is dormant."),
    "out_of_credits": _error(402, 1011, "The account is out of credits."),
    "forbidden": _page(403, "403 as a page of some proxy."),
    "not_found": _error(404, 404, "There is nothing here."),
    "too_many_bytes": _error(413, 1012, "The upload has too many bytes."),
    "too_many_pixels": _error(413, 1013, "The picture has too many pixels."),
    "refusal_charged": _error(400, 1006, "Refused, charged all the same, and a header says so.", **_NAMED),
    "early_refusal": _error(413, 1012, "Sent before the upload's end.", early=True, then=Then.RESET),
    "redirected": _redirect(307, "https://elsewhere.invalid/", "To another host."),
    "moved": _redirect(308, "/api/v2/remove-background", "To the same host; following it is another call."),
    # The upstream asks the client to slow down.
    "slow_down": _error(429, 1015, "Slow down.", retry_after="1"),
    "slow_down_bare": _error(429, 1015, "Slow down, without saying for how long."),
    "slow_down_date": _error(429, 1015, "Until a date.", retry_after="Fri, 31 Dec 1999 23:59:59 GMT"),
    "slow_down_run": _error(429, 1015, "Slow down, three times in a row.", retry_after="1", run=3),
    "slow_down_bare_run": _error(429, 1015, "The same, without saying for how long.", run=3),
    "early_slow_down": _error(429, 1015, "Sent before the upload's end, which is still read.", early=True),
    # The upstream fails.
    "overloaded": _error(503, -3, "Overloaded.", retry_after="1"),
    "timed_out": _error(503, -10, "Timed out inside."),
    "server_error": _error(500, 500, "Something broke."),
    "server_html": _page(500, "500 as a page."),
    "error_charged": _error(500, 500, "Charged, broken afterwards, and a header says so.", **_NAMED),
    "gateway_charged": _page(504, "504 as a page of some proxy; the call was charged unseen.", charges=True),
    "portal": _page(200, "200 with a page: this isn't the upstream."),
    "not_http": Fault("The response isn't HTTP.", body=Body.NOISE, then=Then.CLOSE),
    # The response is lost.
    "reset_early": _lost("Reset after the request's head, the upload unread.", Then.RESET, early=True),
    "reset_after_upload": _lost("Reset after the upload.", Then.RESET),
    "reset_after_upload_charged": _lost("The same, after the charge.", Then.RESET, charges=True),
    "hang_up": _lost("Closed without a response after the upload.", Then.CLOSE),
    "hang_up_charged": _lost("The same, after the charge.", Then.CLOSE, charges=True),
    "silent": _lost("No response, the connection stays.", Then.SILENCE),
    "silent_charged": _lost("The same, after the charge.", Then.SILENCE, charges=True),
}
for _delay in (5, 60, 170, 185):
    # The charge is made at the end of the delay, even if the client has gone.
    _TABLE[f"delay_{_delay}"] = _served(f"The result after {_delay} s.", delay=_delay)
    _TABLE[f"delay_{_delay}_free"] = _error(503, -10, f"A time-out inside after {_delay} s.", delay=_delay)

FAULTS: dict[str, Fault] = {name: replace(fault, name=name) for name, fault in _TABLE.items()}
LONGEST_RUN = max(fault.run for fault in FAULTS.values())


def parse_fault(step: Step) -> Fault:
    """Return the fault of this name, or ``{"fault": name, "delay": 7}``: with some of its fields changed."""
    if isinstance(step, str):
        return FAULTS[step]
    changes = dict(step)
    return replace(FAULTS[changes.pop("fault")], **changes)


def parse_mix(text: str) -> Mix:
    """Parse ``ok=80,slow_down=5``."""
    pairs = (pair.split("=") for pair in text.split(","))
    return tuple((FAULTS[name].name, int(weight)) for name, weight in pairs)


def draw(seed: int, mix: Mix, number: int) -> Fault:
    """Draw the fault of the call with this number: a pure function, so that a run replays."""
    *_, total = bounds = list(accumulate(weight for _, weight in mix))
    for back in reversed(range(LONGEST_RUN)):
        digest = hashlib.sha256(f"{seed}:{number - back}".encode()).digest()
        fault = FAULTS[mix[bisect_right(bounds, int.from_bytes(digest) % total)][0]]
        if fault.run > back:
            break
    return fault
