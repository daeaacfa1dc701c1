"""The one upstream that this instance pays: Pixian, the embedded engine, or whatever else speaks v2."""

from dataclasses import dataclass

import httpx
from django.conf import settings

from pixian.client import Client
from pixian.credentials import Credentials

EMBEDDED_URL = "http://engine"


@dataclass(frozen=True)
class Upstream:
    """A client, and whether a call costs money outside this house.

    The embedded engine's calls don't, so that one of them whose answer was lost may be repeated.
    """

    client: Client
    charges: bool


def connect() -> Upstream:
    """The upstream of the settings. No connection is made before the first call."""
    credentials = Credentials(settings.PIXIAN_API_ID, settings.PIXIAN_API_SECRET)
    if settings.PIXIAN_EMBEDDED:
        transport = httpx.HTTPTransport(uds=str(settings.PIXIAN_SOCKET), trust_env=False)
        return Upstream(Client(EMBEDDED_URL, credentials, transport=transport), charges=False)
    return Upstream(Client(settings.PIXIAN_API_URL, credentials), charges=True)
