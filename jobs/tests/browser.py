"""Send what the workspace's script sends: a batch, the list of its files, then one file a request."""

from typing import Any
from uuid import UUID, uuid4

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from conftest import small_png

SCRIPT = {"HX-Request": "true"}
JSON = "application/json"


def post_json(client: Client, route: str, team: str, *args: Any, **data: Any) -> Any:
    return client.post(reverse(route, args=[team, *args]), data, JSON, headers=SCRIPT)


def begin(client: Client, team: str = "aurora", batch: UUID | None = None, name: str = "") -> UUID:
    """Begin a batch; return its id."""
    batch = batch or uuid4()
    assert post_json(client, "open_batch", team, id=str(batch), name=name).status_code == 201
    return batch


def listing(number: int = 1, **more: Any) -> dict[str, Any]:
    """Return a file as the script lists it."""
    return {"request_id": str(uuid4()), "number": number, "name": f"{number}.png"} | more


def register(client: Client, batch: UUID, *files: dict[str, Any], team: str = "aurora") -> Any:
    return post_json(client, "batch_files", team, batch, files=files)


def send_file(client: Client, batch: UUID, request_id: object, picture: Any, team: str = "aurora") -> Any:
    """Upload one listed file."""
    data = {"request_id": str(request_id), "image": picture}
    return client.post(reverse("batch_upload", args=[team, batch]), data, headers=SCRIPT)


def upload(
    client: Client,
    content: bytes | None = None,
    name: str = "photo.png",
    *,
    team: str = "aurora",
    batch: UUID | None = None,
    request_id: UUID | None = None,
    **more: Any,
) -> Any:
    """Begin a batch, list one file, and upload it; return the last response."""
    batch = begin(client, team, batch)
    file = listing(more.pop("number", None), name=name, request_id=str(request_id or uuid4()), **more)
    assert register(client, batch, file, team=team).status_code == 200
    picture = SimpleUploadedFile(name, small_png() if content is None else content, "image/png")
    return send_file(client, batch, file["request_id"], picture, team)
