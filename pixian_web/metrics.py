"""Serve /metrics to Prometheus, and count the requests of this process.

What happened is counted by each process (``jobs.metrics``); what there is at a time is read here, from the
database, by queries that stay small at a million jobs.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from secrets import compare_digest

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from jobs.metrics import SECONDS, files
from pixian_web import readiness
from pixian_web.health import figures

UNAUTHORIZED = 401
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OTHER, STATIC, NO_ROUTE = "other", "static", "none"

_requests = Counter("pixian_http_requests", "Requests answered", ["route", "method", "status"])
_seconds = Histogram(
    "pixian_http_request_seconds",
    "Requests, from their last byte to the first one of their response",
    ["route", "method"],
    buckets=SECONDS,
)


class MetricsMiddleware:
    """Counts each request by its route's name, never by its path: people may ask for any number of those."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        response = self._get_response(request)
        method = request.method if request.method in METHODS else OTHER
        route = _route(request)
        _requests.labels(route, method, response.status_code).inc()
        _seconds.labels(route, method).observe(time.monotonic() - began)
        return response


def _route(request: HttpRequest) -> str:
    if match := request.resolver_match:
        return match.view_name or match.route
    return STATIC if request.path.startswith(settings.STATIC_URL) else NO_ROUTE


class _Everything(Collector):
    """The metrics of this machine's processes, and the figures of the whole instance."""

    def collect(self) -> Iterable[Metric]:
        yield from files.collect(Path(settings.METRICS_DIR))
        yield from _figures()


def registry() -> CollectorRegistry:
    """Return all there is to collect."""
    everything = CollectorRegistry(auto_describe=False)
    everything.register(_Everything())
    return everything


def _figures() -> Iterator[Metric]:
    answers = readiness.database_answers()
    yield figures.gauge("pixian_database_up", "1 if the database answers", int(answers))
    yield from figures.of_machine()
    if answers:
        yield from figures.of_database()


@never_cache
@login_not_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Return all metrics to whoever has the token; without METRICS_TOKEN there is no such page."""
    if not settings.METRICS_TOKEN:
        raise Http404
    expected = f"Bearer {settings.METRICS_TOKEN}"
    if not compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
        refusal = HttpResponse("A bearer token is needed.\n", "text/plain", UNAUTHORIZED)
        refusal["WWW-Authenticate"] = "Bearer"
        return refusal
    return HttpResponse(generate_latest(registry()), CONTENT_TYPE_LATEST)
