"""Loaded by pytest before Django's settings are: tests never touch a real ``data`` folder.

Subprocesses that a test starts inherit the same environment.
"""

import atexit
import os
import shutil
import tempfile

_folder = tempfile.mkdtemp(prefix="pixian-test-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

# WhiteNoise warns where its folder is missing, and warnings are errors here.
os.mkdir(f"{_folder}/static")  # noqa: PTH102

os.environ.update(
    DATA_DIR=_folder,
    ENGINE_MODEL="fast",
    PIXIAN_API_URL="embedded",
    SECRET_KEY="not a secret",
)
for name in ("DATABASE_URL", "PORT", "PUBLIC_URL", "PIXIAN_API_ID", "PIXIAN_API_SECRET"):
    os.environ.pop(name, None)
