"""Connect to the one upstream that this instance pays: Pixian, the embedded engine, or another v2 server."""

import httpx
from django.conf import settings

from pixian.client.client import Client
from pixian.protocol.credentials import Credentials

EMBEDDED_URL = "http://engine"


class Upstream:
    """A client, and what is known of the server at its address.

    charges: its calls cost money. The embedded engine's don't, so one whose answer was lost may be repeated.
    """

    def __init__(self, client: Client, *, charges: bool) -> None:
        self.client = client
        self.charges = charges
        self._is_verified = False

    def ensure_verified(self) -> None:
        """Ask for the account before the first call, and after an answer that made no sense.

        It costs nothing and shows if address and secret are right. So a wrong setting leaves at most the
        calls in flight in doubt, and not a whole queue. Raises what ``Client.account`` raises.
        """
        if self.charges and not self._is_verified:
            self.client.account()
            self._is_verified = True

    def mark_unverified(self) -> None:
        """Let no further call be made before ``ensure_verified`` has asked: something odd came."""
        self._is_verified = False


def connect() -> Upstream:
    """Return the upstream of the settings. It is connected to with the first call."""
    credentials = Credentials(settings.PIXIAN_API_ID, settings.PIXIAN_API_SECRET)
    if settings.PIXIAN_EMBEDDED:
        transport = httpx.HTTPTransport(uds=str(settings.PIXIAN_SOCKET), trust_env=False)
        return Upstream(Client(EMBEDDED_URL, credentials, transport=transport), charges=False)
    timeout = settings.PIXIAN_TIMEOUT
    return Upstream(Client(settings.PIXIAN_API_URL, credentials, idle_timeout=timeout), charges=True)
