"""The one upstream that this instance pays: Pixian, the embedded engine, or whatever else speaks v2."""

import httpx
from django.conf import settings

from pixian.client.client import Client
from pixian.protocol.credentials import Credentials

EMBEDDED_URL = "http://engine"


class Upstream:
    """A client, whether a call costs money outside this house, and whether the address has proven itself.

    charges: the embedded engine's calls don't, so that one of them whose answer was lost may be repeated.
    """

    def __init__(self, client: Client, *, charges: bool) -> None:
        self.client = client
        self.charges = charges
        self._trusted = False

    def ensure_verified(self) -> None:
        """Before the first call, and after an answer that made no sense, ask for the account: it costs
        nothing and tells whether address and secret are right. So a wrong setting leaves at most the calls
        in flight in doubt, and not a whole queue. Raises what ``Client.account`` raises."""
        if self.charges and not self._trusted:
            self.client.account()
            self._trusted = True

    def mark_unverified(self) -> None:
        """Something odd came: no further call before ``ensure_verified`` has asked."""
        self._trusted = False


def connect() -> Upstream:
    """The upstream of the settings. No connection is made before the first call."""
    credentials = Credentials(settings.PIXIAN_API_ID, settings.PIXIAN_API_SECRET)
    if settings.PIXIAN_EMBEDDED:
        transport = httpx.HTTPTransport(uds=str(settings.PIXIAN_SOCKET), trust_env=False)
        return Upstream(Client(EMBEDDED_URL, credentials, transport=transport), charges=False)
    timeout = settings.PIXIAN_TIMEOUT
    return Upstream(Client(settings.PIXIAN_API_URL, credentials, idle_timeout=timeout), charges=True)
