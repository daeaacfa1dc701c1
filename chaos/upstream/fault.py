"""What a fault is: what is answered, how much of that leaves the house, what the connection does then."""

from dataclasses import dataclass
from enum import StrEnum

from pixian.protocol.errors import ApiError

CREDITS = "{credits}"
"""Stands in a header's text for the amount charged, as the contract writes it."""


class Body(StrEnum):
    PICTURE = "picture"
    ENVELOPE = "envelope"
    HTML = "html"
    EMPTY = "empty"
    NOISE = "noise"
    """Not HTTP at all."""


class Sends(StrEnum):
    """How much of the answer leaves."""

    NOTHING = "nothing"
    TORN_HEAD = "torn_head"
    HEAD = "head"
    MOST = "most"
    """All but the body's last bytes: enough for a picture's header, too little for its pixels."""
    SLOWLY = "slowly"
    """All of it, the body in pieces with a pause before each."""
    ALL = "all"


class Then(StrEnum):
    """What the connection does afterwards."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"
    """Stays open without a byte until the client hangs up."""


@dataclass(frozen=True)
class Fault:
    """One way to answer. ``about`` is the message where the body is an envelope.

    early: decided when the head is in; the upload isn't waited for.
    factor: the charge is so many times the price.
    header: the texts of X-Credits-Charged, one header each.
    length: whether Content-Length is told; without it the end of the connection ends the body.
    run: so many calls in a row get this fault once the seed draws it.
    refuses, resets: the listener's doings afterwards; seconds without it, and how many of the next
    connections are reset on accept.
    """

    about: str
    name: str = ""
    status: int = 200
    code: int = 0
    body: Body = Body.ENVELOPE
    content_type: str = ""
    retry_after: str = ""
    location: str = ""
    early: bool = False
    delay: float = 0
    pause: float = 0
    charges: bool = False
    factor: int = 1
    header: tuple[str, ...] = ()
    length: bool = True
    sends: Sends = Sends.ALL
    then: Then = Then.KEEP
    run: int = 1
    refuses: float = 0
    resets: int = 0

    @property
    def works(self) -> bool:
        """Whether it looks at the picture, which then has to be one."""
        return self.charges or self.body is Body.PICTURE

    @property
    def told_status(self) -> int | None:
        """The status that reaches the client, None where no status line does."""
        unseen = self.sends in (Sends.NOTHING, Sends.TORN_HEAD) or self.body is Body.NOISE
        return None if unseen else self.status


def refusal(error: ApiError) -> Fault:
    """What the contract itself answers, as a fault of its own: ``400/1006``."""
    name = f"{error.status}/{error.code}"
    return Fault(error.message, name, status=error.status, code=error.code)
