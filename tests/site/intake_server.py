"""A server for the intake's scripts that fails on demand, and remembers what it was sent."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Route

from conftest import small_png

Fault = Callable[[Route], bool]
"""Answers a request instead of the server and returns True, or leaves it alone."""


def sent(route: Route) -> dict[str, Any]:
    """Return the JSON that a request has sent."""
    body: dict[str, Any] = route.request.post_data_json or {}
    return body


@dataclass
class IntakeServer:
    """Batches in memory.

    fits: how many pictures there are credits for. duplicates: how many of them were cut out before.
    erased: how many of those cut-outs are erased between the plan and the start. module: a script of the
    batch's page.
    """

    page: Page
    fits: int = 1000
    duplicates: int = 0
    erased: int = 0
    module: str = ""
    batches: dict[str, str] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    chunks: dict[str, bytes] = field(default_factory=dict)
    uploads: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def start(self) -> "IntakeServer":
        self.page.context.route(re.compile("/t/my-team/(batches|test-picture|credits/ask)/"), self._answer)
        return self

    def fail(self, fragment: str, times: int = 1, status: int = 0, text: str = "") -> None:
        """Answer requests whose address has this fragment with a status, or cut the line for 0."""
        left = [times]

        def fault(route: Route) -> bool:
            if fragment not in route.request.url or not left[0]:
                return False
            left[0] -= 1
            route.fulfill(status=status, body=text) if status else route.abort("connectionreset")
            return True

        self.faults.append(fault)

    def divert(self, fragment: str, url: str) -> None:
        """Send the first request whose address has this fragment to another server."""
        diverted: list[str] = []

        def fault(route: Route) -> bool:
            if fragment not in route.request.url or diverted:
                return False
            diverted.append(route.request.url)
            route.continue_(url=url)
            return True

        self.faults.append(fault)

    def _answer(self, route: Route) -> None:
        if any(fault(route) for fault in self.faults):
            return
        path = urlsplit(route.request.url).path
        match = re.search(r"/batches/(?:([0-9a-f-]{36})/(\w*))?", path)
        if match is None:
            self._test(route, path)
        elif match[1] is None:
            asked = sent(route)
            self.batches[asked["id"]] = asked["name"]
            route.fulfill(status=201, json={"url": ""})
        elif match[2] == "":
            self._page(route, match[1])
        else:
            getattr(self, f"_{match[2]}")(route)

    def _page(self, route: Route, batch: str) -> None:
        """Answer with a page that has all of a batch's page that the intake needs, and the site's headers."""
        workspace = route.fetch(url=re.sub("batches/.*", "", route.request.url))
        page = workspace.text().replace("data-intake", f'data-intake data-batch="{batch}"', 1)
        page = re.sub("<title>.*?</title>", "<title>A batch</title>", page, flags=re.DOTALL)
        page = page.replace("</head>", f'<script type="module" src="{self.module}"></script></head>')
        route.fulfill(response=workspace, body=page.replace('class="workspace"', ""))

    def _files(self, route: Route) -> None:
        for file in sent(route)["files"]:
            self.files[file["request_id"]] = file
        route.fulfill(json={"known": [], "refused": {}})

    def _plan(self, route: Route) -> None:
        files = self._left()
        pixels = sum((file["width"] or 0) * (file["height"] or 0) for file in files)
        duplicates = [
            {"request_id": file["request_id"], "name": file["name"]} for file in files[: self.duplicates]
        ]
        if "reuse=yes" in route.request.url:
            files = files[self.duplicates :]
        fits = min(self.fits, len(files))
        route.fulfill(
            json={
                "pictures": len(files),
                "megapixels": f"{pixels / 1e6:.1f}",
                "about": "24",
                "at_most": "30",
                "available": {"pool": "99", "allowance": None},
                "fits": fits,
                "missing": "0" if fits == len(files) else "11.5",
                "after": "69",
                "owed": "0",
                "counts": {"about": 24, "at_most": 30, "missing": 12, "after": 69, "owed": 0},
                "duplicates": duplicates,
                "unknown": sum(file["width"] is None for file in files),
            }
        )

    def _left(self) -> list[dict[str, Any]]:
        done = {*self.uploads, *self.reused}
        return [file for key, file in self.files.items() if key not in done]

    def _missing(self, route: Route) -> None:
        route.fulfill(json={"files": self._left()})

    def _upload(self, route: Route) -> None:
        body = route.request.post_data_buffer or b""
        request_id = re.search(rb'name="request_id"\r\n\r\n([0-9a-f-]{36})', body)
        assert request_id
        self.uploads.append(request_id[1].decode())
        route.fulfill(status=201)

    def _chunks(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        key = address.path.split("/")[-2]
        have = self.chunks.get(key, b"")
        if route.request.method == "POST":
            if int(parse_qs(address.query)["offset"][0]) != len(have):
                route.fulfill(status=409, json={"received": len(have)})
                return
            have = self.chunks[key] = have + (route.request.post_data_buffer or b"")
        route.fulfill(json={"received": len(have)})

    def _reuse(self, route: Route) -> None:
        asked = sent(route)["request_ids"]
        reused = asked[self.erased :]
        self.reused += reused
        self.duplicates -= len(asked)
        route.fulfill(json={"reused": reused})

    def _test(self, route: Route, path: str) -> None:
        if "credits/ask" in path:
            self.asked.append(route.request.post_data or "")
            route.fulfill(status=201, body="You asked for 11.5 credits.")
        elif path.endswith("test-picture/"):
            route.fulfill(status=201, json={"url": f"{path}1/"})
        else:
            image = f"data:image/png;base64,{base64.b64encode(small_png(60, 40)).decode()}"
            route.fulfill(
                json={"state": "done", "label": "done", "price": "0.24", "count": 2, "image": image}
            )
