"""Every route there is, out of the URLconf."""

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver


def routes() -> dict[str, str]:
    """Return full names (``admin:index``) with their patterns; a route without a name goes by its pattern."""
    return dict(_walk(get_resolver()))


def _walk(resolver: URLResolver, pattern: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    for found in resolver.url_patterns:
        here = pattern + str(found.pattern)
        if isinstance(found, URLPattern):
            yield space + (found.name or here), here
        else:
            inner = f"{space}{found.namespace}:" if found.namespace else space
            yield from _walk(found, here, inner)
