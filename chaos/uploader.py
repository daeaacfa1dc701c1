"""A script that uploads a batch as the workspace's page does, over lines that break.

It lists the files, then sends each in a request of its own, or in chunks if it is large, four at once, and
sends again what a line has swallowed. Started again, it asks what is missing and takes that by name and hash.
"""

import hashlib
import io
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import httpx
from PIL import Image

from chaos.notes import Notes
from conftest import PHOTOS

AT_ONCE = 4
SIDES, LARGE_BYTES, LARGE_EVERY_TWENTIETH = (24, 64), 60_000, 7
LISTED_AT_ONCE = 100
PAUSE_SECONDS = 0.05, 0.2
GIVE_UP_SECONDS = 180
BY_SCRIPT = {"HX-Request": "true"}
OURS_TO_REPEAT = (429, 500, 502, 503, 504)


class GaveUpError(Exception):
    """A request was never answered, or was refused."""


@dataclass(frozen=True)
class Photo:
    """A photo in a folder of the client's machine. number: its place in the drop."""

    number: int
    name: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pixels(self) -> int:
        with Image.open(io.BytesIO(self.content)) as image:
            return image.width * image.height

    def listing(self, batch: UUID) -> dict[str, Any]:
        """Return what a page tells of the file; its id follows from the batch, so that a run replays."""
        return {
            "request_id": str(uuid5(batch, str(self.number))),
            "number": self.number,
            "name": self.name,
            "folder": "",
            "bytes": len(self.content),
            "sha256": self.sha256,
        }


def photos(seed: str, count: int) -> list[Photo]:
    """Make photos, each like no other, out of those that the tests have; some of them share a name."""
    chance = random.Random(seed)  # noqa: S311 - it is to replay
    originals = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    made = []
    for number in range(1, count + 1):
        if number % 20 == LARGE_EVERY_TWENTIETH:
            side = int((LARGE_BYTES / 3) ** 0.5) + 1
            image = Image.frombytes("RGB", (side, side), chance.randbytes(side * side * 3))
        else:
            image = originals[number % len(originals)].resize(
                (chance.randint(*SIDES), chance.randint(*SIDES))
            )
        for x in range(2):
            image.putpixel((x, 0), tuple(chance.randbytes(3)))
        file = io.BytesIO()
        image.save(file, "PNG")
        made.append(Photo(number, f"IMG_{number % max(count - 1, 1):04}.png", file.getvalue()))
    return made


@dataclass
class Uploader:
    """Upload the photos of one batch.

    lines: addresses that lead to the site. chunk: bytes of the largest request. repeats: requests that had to
    be repeated. patience: seconds until it gives a request up.
    """

    lines: Sequence[str]
    browser: httpx.Client
    team: str
    batch: UUID
    photos: Sequence[Photo]
    chunk: int
    repeats: Notes
    patience: float = GIVE_UP_SECONDS

    def begin(self) -> None:
        """Begin the batch and list its files, then upload them."""
        self._call("POST", "batches/", json={"id": str(self.batch), "name": "Three hundred"})
        for at in range(0, len(self.photos), LISTED_AT_ONCE):
            listed = [photo.listing(self.batch) for photo in self.photos[at : at + LISTED_AT_ONCE]]
            self._call("POST", f"{self._batch}files/", json={"files": listed})
        self.go_on()

    def go_on(self) -> None:
        """Upload what is missing, matched by name and hash, as after a restart that has forgotten all."""
        here = {(photo.name, photo.sha256): photo for photo in self.photos}
        while wanted := self._call("GET", f"{self._batch}missing/").json()["files"]:
            matched = [(each["request_id"], here[each["name"], each["sha256"]]) for each in wanted]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for sent in [pool.submit(self._send, *pair) for pair in matched]:
                    sent.result()

    def all_at_once(self) -> None:
        """Send everything in one request, as a plain form does."""
        address = f"{self.lines[0]}/t/{self.team}/upload/"
        files = [("image", (photo.name, photo.content, "image/png")) for photo in self.photos]
        with suppress(httpx.TransportError):
            self.browser.post(address, data={"batch": str(self.batch)}, files=files)

    def _send(self, request_id: str, photo: Photo) -> None:
        if len(photo.content) <= self.chunk:
            files = {"image": (photo.name, photo.content, "image/png")}
            self._call("POST", f"{self._batch}upload/", data={"request_id": request_id}, files=files)
            return
        address = f"{self._batch}chunks/{request_id}/"
        while (at := self._call("GET", address).json()["received"]) < len(photo.content):
            piece = photo.content[at : at + self.chunk]
            self._call("POST", f"{address}?offset={at}", content=piece, refused_is_fine=True)
        data = {"request_id": request_id, "assembled": "1", "name": photo.name}
        self._call("POST", f"{self._batch}upload/", data=data)

    def _call(self, method: str, path: str, *, refused_is_fine: bool = False, **body: Any) -> httpx.Response:
        """Ask until there is an answer. refused_is_fine: a chunk may have come before its answer was lost."""
        end = time.monotonic() + self.patience
        last: object = None
        while time.monotonic() < end:
            line = random.choice(self.lines)  # noqa: S311
            try:
                address = f"{line}/t/{self.team}/{path}"
                response = self.browser.request(method, address, headers=BY_SCRIPT, **body)
                if response.is_success or (refused_is_fine and response.status_code == HTTPStatus.CONFLICT):
                    return response
                last = f"{response.status_code} {response.text[:200]}"
                if response.status_code not in OURS_TO_REPEAT:
                    break
            except httpx.TransportError as error:
                last = error
            self.repeats.note(asked=f"{method} {path}", answer=str(last))
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311
        raise GaveUpError(f"{method} {path}: {last}")

    @property
    def _batch(self) -> str:
        return f"batches/{self.batch}/"


def new_id(seed: str) -> UUID:
    return uuid5(NAMESPACE_OID, seed)
