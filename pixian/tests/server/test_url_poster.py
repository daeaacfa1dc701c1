"""A POST through the guarded fetcher, in the small internet of its other tests."""

from typing import Any

import pytest

from pixian.protocol.errors import Code, Refused
from pixian.server.url_fetcher import Fetcher, FetchLimits, Posted
from pixian.tests.server.test_url_fetcher import (
    FORBIDDEN,
    LIMITS,
    NO_TLS,
    PUBLIC,
    REDIRECTED_TO,
    UNUSABLE,
    World,
    answer,
    drip,
    endless,
    lookup,
    moved,
    world,
)

__all__ = ["world"]

BODY, HEADERS = b'{"a": 1}', {"Content-Type": "application/json", "webhook-id": "1"}


def post(world: World, url: str, limits: FetchLimits = LIMITS, **given: Any) -> Posted:
    rules: dict[str, Any] = {"resolve": lookup, "tls": NO_TLS, "wire": world.internet} | given
    return Fetcher(limits, **rules).post(url, BODY, HEADERS)


def refusal(world: World, url: str, limits: FetchLimits = LIMITS) -> Refused:
    with pytest.raises(Refused) as caught:
        post(world, url, limits)
    assert world.canary.visits() == 0
    return caught.value


def test_bytes_are_sent_and_the_answer_comes_back(world: World) -> None:
    world.site.answers["hook?a=b"] = answer(b"thanks", status="202 Accepted", Content_Type="text/plain")
    assert post(world, "http://pictures.example/hook?a=b") == Posted(202, b"thanks")
    head = world.site.heads[0]
    assert head[0] == "POST /hook?a=b HTTP/1.1"
    assert {"Content-Length: 8", "Content-Type: application/json", "webhook-id: 1"} <= set(head)
    assert world.internet.dialled == [f"{PUBLIC} 80"]


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone", "500 Internal Server Error"])
def test_an_error_is_an_answer(world: World, status: str) -> None:
    world.site.answers[""] = answer(b"no", status=status)
    assert post(world, "http://pictures.example/") == Posted(int(status[:3]), b"no")


@pytest.mark.parametrize("host", FORBIDDEN.split())
def test_what_is_not_public_is_never_dialled(world: World, host: str) -> None:
    assert refusal(world, f"http://{host}/").code == Code.URL_FAILED


@pytest.mark.parametrize("url", UNUSABLE.split())
def test_what_is_no_web_address_is_unparseable(world: World, url: str) -> None:
    assert refusal(world, url).code == Code.URL_UNPARSEABLE
    with pytest.raises(Refused):
        Fetcher(tls=NO_TLS).check(url)


@pytest.mark.parametrize("target", [*REDIRECTED_TO.split(), "/elsewhere", "http://other.example/"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_no_redirect_is_followed(world: World, target: str, status: int) -> None:
    world.site.answers["hook"] = moved(target, status)
    assert post(world, "http://pictures.example/hook").status == status
    assert len(world.site.heads) == 1
    assert world.canary.visits() == 0


def test_no_more_of_the_answer_is_read_than_allowed(world: World) -> None:
    world.site.answers[""] = endless
    posted = post(world, "http://pictures.example/", FetchLimits(max_bytes=1000))
    assert (posted.status, len(posted.body)) == (200, 1000)


def test_a_status_counts_though_its_body_never_ends(world: World) -> None:
    world.site.answers[""] = drip(answer(Content_Length="9999"), b"x")
    posted = post(world, "http://pictures.example/", FetchLimits(seconds=0.5))
    assert posted.status == 200
    assert not posted.body.strip(b"x")


def test_a_server_that_says_nothing_is_given_up(world: World) -> None:
    world.site.answers[""] = drip(b"", b"")
    error = refusal(world, "http://pictures.example/", FetchLimits(seconds=0.3))
    assert "took longer than 0.3 seconds" in error.message
