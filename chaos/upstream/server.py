"""The face that speaks the contract."""

from chaos.upstream.answers import Answer, compose, json_answer, send
from chaos.upstream.calls import Calls, authenticate
from chaos.upstream.choice import OK, Chooser
from chaos.upstream.door import Door
from chaos.upstream.fault import refusal
from chaos.upstream.journal import Journal
from chaos.upstream.settings import Settings
from chaos.upstream.wire import Head, Wire, read_body, read_head
from pixian.protocol.credits import format_credits
from pixian.protocol.errors import ApiError, Refused

CALL = ("POST", "/api/v2/remove-background")
ACCOUNT = ("GET", "/api/v2/account")
FAR_OFF = "9999-12-31T23:59:59Z"


class Upstream:
    """The whole server behind its door."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._credentials = settings.credentials
        self.chooser = Chooser(settings.seed, settings.mix)
        self.door = Door(settings.bind, settings.port, self._talk)
        self.calls = Calls(settings, journal, self.chooser, self.door)

    async def _talk(self, wire: Wire) -> None:
        while head := await read_head(wire.reader):
            if not (await self._answer(head, wire) and head.keeps_alive):
                break

    async def _answer(self, head: Head, wire: Wire) -> bool:
        wanted = (head.method, head.path)
        if wanted == CALL:
            return await self.calls.answer(head, wire)
        await read_body(head, wire)
        try:
            authenticate(head, self._credentials)
            if wanted != ACCOUNT:
                raise Refused(404, 404, "There is nothing here.")
        except ApiError as error:
            fault = refusal(error)
        else:
            fault = self.chooser.for_account()
        answer = self._account() if fault == OK else compose(fault, None)
        return await send(answer, fault, wire, fault.pause)

    def _account(self) -> Answer:
        """What the log leaves of the opening balance, in six decimals: a float may be off by a bit."""
        balance = self.calls.balance_microcredits
        sign = "-" if balance < 0 else ""
        return json_answer(
            200,
            '{"creditPack": "none", "state": "active", '
            f'"useBefore": "{FAR_OFF}", "credits": {sign}{format_credits(abs(balance))}}}',
        )
