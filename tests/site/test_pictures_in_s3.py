"""A whole instance whose pictures are in a bucket: its settings, its web process and its worker."""

import json
import tempfile
from pathlib import Path

import httpx
import pytest

from chaos.waiting import wait_for
from conftest import PHOTOS
from jobs.storage.s3 import S3Storage
from jobs.tests.storage import buckets
from tests.site.instance import output, running

SUBMIT = """
import django
django.setup()
from accounts.models import Team
from conftest import PHOTOS, upload
from jobs.intake.submit import submit
team = Team.objects.get(name="Shop")
with (sent := upload((PHOTOS / "chelsea.jpg").read_bytes())).file:
    submit(team, team.members.get(), sent)
"""
TEAM = ("setup_team", "Shop", "--owner", "a@example.org", "--credits", "9", "--api-key", "shop")


@pytest.mark.timeout(300)
def test_a_whole_instance_keeps_its_pictures_in_the_bucket() -> None:
    with buckets.serving() as swift, tempfile.TemporaryDirectory(prefix="pixian-") as folder:
        bucket = S3Storage(**buckets.options_of(swift, "pictures") | {"location": ""})
        bucket.client.create_bucket(Bucket="pictures")
        with running(Path(folder), **buckets.environment_of(swift, "pictures")) as instance:
            key = json.loads(instance.manage(*TEAM))
            auth = (key["api_id"], key["api_secret"])
            with httpx.Client(base_url=instance.url, auth=auth, timeout=60, trust_env=False) as http:
                photo = (PHOTOS / "coffee.jpg").read_bytes()
                answer = http.post("/api/v2/remove-background", files={"image": photo})
                assert answer.status_code == 200
                output(instance.env | {"DJANGO_SETTINGS_MODULE": "pixian_web.settings"}, "-c", SUBMIT)
                wait_for(
                    lambda: not instance.rows("SELECT 1 FROM jobs_job WHERE state <> 'done'"), 60, "both"
                )
                for (pk,) in instance.rows("SELECT id FROM jobs_job"):
                    assert http.get(f"/api/jobs/{pk}/result").content.startswith(b"\x89PNG")
            assert instance.manage("verify")
            results = {name for (name,) in instance.rows("SELECT result FROM jobs_job")}
            assert results <= {row.name for row in bucket.objects()}
            assert bucket.exists(".instance")
            spooled = [path for path in Path(folder, "files").rglob("*") if path.is_file()]
        assert spooled == []
        assert instance.books_add_up()
