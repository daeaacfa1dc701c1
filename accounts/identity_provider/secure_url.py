"""Tell addresses that secrets may be sent to from others. Settings import it, so it imports no model."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_secure(url: str) -> bool:
    """Return True for HTTPS, and for plain HTTP within this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
