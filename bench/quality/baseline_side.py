"""``baseline_side.py FOLDER``: cuts out every PNG in FOLDER with rembg and U²-Net, into FOLDER/out.

It runs under the Python that has rembg, so it imports nothing of ours. U2NET_HOME is the weights' folder.
"""

import sys
from pathlib import Path

from PIL import Image
from rembg import new_session, remove  # type: ignore[import-not-found]

folder = Path(sys.argv[1])
session = new_session("u2net", providers=["CPUExecutionProvider"])
(folder / "out").mkdir()
for path in sorted(folder.glob("*.png")):
    with Image.open(path) as picture:
        remove(picture, session=session).save(folder / "out" / path.name)
