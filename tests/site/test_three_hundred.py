"""The story of 300 photos, with a few."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.site.instance import Instance
from tests.site.three_hundred import Story, shoot

pytestmark = pytest.mark.browser


def test_from_the_drop_to_the_zip(browser: Browser, fresh_instance: Instance, tmp_path: Path) -> None:
    Story(browser, fresh_instance, shoot(tmp_path, 12, 200)).play()
