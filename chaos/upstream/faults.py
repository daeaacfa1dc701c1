"""Every fault by its name, and for each whether it charges.

Delays and pauses are seconds that ``--scale`` multiplies.
"""

from dataclasses import replace
from typing import Any

from chaos.upstream.fault import CREDITS, Body, Fault, Sends, Then

# Charged, and the answer says so.
TOLD: dict[str, Any] = {"charges": True, "header": (CREDITS,)}


def _served(about: str, **changes: Any) -> Fault:
    """200 with the result, charged."""
    return Fault(about, **{"body": Body.PICTURE} | TOLD | changes)


def _refused(status: int, code: int, about: str, **changes: Any) -> Fault:
    return Fault(about, status=status, code=code, **changes)


def _lost(about: str, then: Then, **changes: Any) -> Fault:
    """No status line arrives."""
    return Fault(about, sends=Sends.NOTHING, then=then, **changes)


_SERVED = {
    "ok": _served("The result."),
    "free": _served("The result, and 0 charged.", factor=0),
    "above_hold": _served("Three times the price is charged, and told.", factor=3),
    "no_charge_header": _served("Charged, and no header says so.", header=()),
    "seven_decimals": _served(
        "A header finer than a micro-credit; the price is charged.", header=("{credits}1",)
    ),
    "unreadable_charge": _served("A header in words; the price is charged.", header=("one or so",)),
    "negative_charge": _served("A header below 0; the price is charged.", header=("-{credits}",)),
    "two_charge_headers": _served("The header twice; the price is charged once.", header=(CREDITS, CREDITS)),
    "wrong_type": _served("The result as text/html.", content_type="text/html"),
    "not_a_picture": _served("HTML as image/png.", body=Body.HTML, content_type="image/png"),
    "empty_body": _served("A result of 0 bytes.", body=Body.EMPTY, content_type="image/png"),
    "slow_body": _served("The body in pieces, 60 s before each.", sends=Sends.SLOWLY, pause=60),
    "then_refuse": _served("The result; then no connection for 5 s.", refuses=5),
    "then_reset": _served("The result; then the next connection is reset on accept.", resets=1),
}

_BROKEN_OFF = {
    "cut_head": _served("The connection ends within the headers.", sends=Sends.TORN_HEAD, then=Then.CLOSE),
    "cut_body": _served("The connection ends within the body.", sends=Sends.MOST, then=Then.CLOSE),
    "cut_unseen": _served(
        "The same without a length: only the picture tells.", sends=Sends.MOST, then=Then.CLOSE, length=False
    ),
    "reset_body": _served("The connection is reset within the body.", sends=Sends.MOST, then=Then.RESET),
    "silent_head": _served("The headers, then silence.", sends=Sends.HEAD, then=Then.SILENCE),
    "silent_body": _served("Most of the body, then silence.", sends=Sends.MOST, then=Then.SILENCE),
}

_REFUSED = {
    "no_image": _refused(400, 1005, "There is no image parameter."),
    "unreadable": _refused(400, 1006, "The picture can't be read."),
    "image_as_text": _refused(400, 1016, "The file came as text."),
    "bad_parameter": _refused(400, 1019, "max_pixels is 'many'; it must be an integer."),
    "url_not_200": _refused(400, 1020, "The URL answered HTTP 404."),
    "url_not_image": _refused(400, 1021, "The URL isn't an image's."),
    "url_failed": _refused(400, 1022, "The URL couldn't be fetched."),
    "result_too_large": _refused(400, 1023, "The result would be too large."),
    "url_unparseable": _refused(400, 1024, "The URL can't be used."),
    "id_unknown": _refused(401, 1001, "The API Id is unknown."),
    "key_disabled": _refused(401, 1002, "The API key is disabled."),
    "suspended": _refused(401, 1003, "The account is suspended."),
    "secret_wrong": _refused(401, 1004, "The API secret is wrong."),
    "no_plan": _refused(402, 1008, "The account has no plan."),
    "dormant": _refused(402, 1010, "The account is dormant."),
    "out_of_credits": _refused(402, 1011, "The account is out of credits."),
    "forbidden": Fault("403 as a page of something between.", status=403, body=Body.HTML),
    "not_found": _refused(404, 404, "There is nothing here."),
    "too_many_bytes": _refused(413, 1012, "The upload has too many bytes."),
    "too_many_pixels": _refused(413, 1013, "The picture has too many pixels."),
    "refusal_charged": _refused(400, 1006, "Refused, charged all the same, and a header says so.", **TOLD),
    "early_refusal": _refused(
        413, 1012, "Answered before the upload's end, which is then reset.", early=True, then=Then.RESET
    ),
    "redirected": Fault(
        "Another host is told.", status=307, body=Body.EMPTY, location="https://elsewhere.invalid/"
    ),
    "moved": Fault(
        "The same host is told; what comes there is another call.",
        status=308,
        body=Body.EMPTY,
        location="/api/v2/remove-background",
    ),
}

_SLOW_DOWN = {
    "slow_down": _refused(429, 1015, "Slow down.", retry_after="1"),
    "slow_down_bare": _refused(429, 1015, "Slow down; nobody says for how long."),
    "slow_down_date": _refused(
        429, 1015, "Slow down until a date.", retry_after="Fri, 31 Dec 1999 23:59:59 GMT"
    ),
    "slow_down_run": _refused(429, 1015, "Slow down, three times in a row.", retry_after="1", run=3),
    "slow_down_bare_run": _refused(429, 1015, "The same, and nobody says for how long.", run=3),
    "early_slow_down": _refused(429, 1015, "Told before the upload's end, which is still read.", early=True),
}

_FAILED = {
    "overloaded": _refused(503, -3, "Overloaded.", retry_after="1"),
    "timed_out": _refused(503, -10, "Timed out inside."),
    "server_error": _refused(500, 500, "Something broke."),
    "server_html": Fault("500 as a page.", status=500, body=Body.HTML),
    "error_charged": _refused(500, 500, "Charged, broken afterwards, and a header says so.", **TOLD),
    "gateway_charged": Fault(
        "504 as a page of something between; the call was charged unseen.",
        status=504,
        body=Body.HTML,
        charges=True,
    ),
    "portal": Fault("200 with a page: this isn't the upstream.", body=Body.HTML),
    "not_http": Fault("The answer isn't HTTP.", body=Body.NOISE, then=Then.CLOSE),
}

_LOST = {
    "reset_early": _lost("Reset when the head is in, the upload unread.", Then.RESET, early=True),
    "reset_after_upload": _lost("Reset when the upload was read.", Then.RESET),
    "reset_after_upload_charged": _lost("The same, after the charge.", Then.RESET, charges=True),
    "hang_up": _lost("Closed without an answer when the upload was read.", Then.CLOSE),
    "hang_up_charged": _lost("The same, after the charge.", Then.CLOSE, charges=True),
    "silent": _lost("No answer, the connection stays.", Then.SILENCE),
    "silent_charged": _lost("The same, after the charge.", Then.SILENCE, charges=True),
}

# The charge is made when the delay is over, whether or not anybody is still there to hear of it.
_DELAYS = (5, 60, 170, 185)
_DELAYED = {
    name: made
    for delay in _DELAYS
    for name, made in (
        (f"delay_{delay}", _served(f"The result after {delay} s.", delay=delay)),
        (f"delay_{delay}_free", _refused(503, -10, f"A time-out inside, told after {delay} s.", delay=delay)),
    )
}

FAULTS: dict[str, Fault] = {
    name: replace(made, name=name)
    for group in (_SERVED, _BROKEN_OFF, _REFUSED, _SLOW_DOWN, _FAILED, _LOST, _DELAYED)
    for name, made in group.items()
}
"""Every fault by its name."""


def table() -> str:
    """One line for each fault: its name, whether it charges, and what it does."""
    lines = (
        f"{made.name:28} {'charged' if made.charges else '-':8} {_answered(made):9} {made.about}"
        for made in FAULTS.values()
    )
    return "\n".join(lines)


def _answered(made: Fault) -> str:
    if made.told_status is None:
        return "-"
    return f"{made.status}/{made.code}" if made.code else str(made.status)
