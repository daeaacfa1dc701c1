import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.config import ROOT
from engine.models import catalog as models
from engine.pipeline import inference
from engine.pipeline.matting import Matting
from engine.tests.conftest import PHOTOS

FAST = models.BUILT_IN["fast"]

# The kernel itself ends the process at its first internet socket, whichever language opens it: a
# seccomp filter on socket(2) for AF_INET (2) and AF_INET6 (10).
NO_INTERNET = """
import ctypes, struct
def op(code, yes, no, k): return struct.pack("HBBI", code, yes, no, k)
program = (op(0x20, 0, 0, 0) + op(0x15, 0, 4, 41) + op(0x20, 0, 0, 16) + op(0x15, 1, 0, 2)
    + op(0x15, 0, 1, 10) + op(0x06, 0, 0, 0x80000000) + op(0x06, 0, 0, 0x7FFF0000))
buffer = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, filter) == 0
"""

INFER = """
import sys, time
from pathlib import Path
import numpy as np
from engine.models import catalog
from engine.pipeline import inference
weights = catalog.find("fast", Path(sys.argv[1])).path(Path(sys.argv[1]))
for runtime in (inference.OpenVinoRuntime, inference.OnnxRuntime):
    runtime(weights).infer(np.zeros((1, 3, 320, 320), np.float32))
time.sleep(12)  # onnxruntime would begin to upload its telemetry nine seconds after the import
print("inferred")
"""


def picture(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    read = cv2.imread(str(PHOTOS / f"{name}.jpg"), cv2.IMREAD_COLOR_RGB)
    assert read is not None
    return np.asarray(read, np.uint8)


def python(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_openvino_is_the_choice_and_infers(models_dir: Path) -> None:
    loaded = inference.load(FAST.path(models_dir))

    mask = loaded.infer(np.zeros((1, 3, 320, 320), np.float32))

    assert isinstance(loaded, inference.OpenVinoRuntime)
    assert mask.shape == (320, 320)
    assert mask.dtype == np.float32


def test_without_openvino_the_matte_is_the_same(
    models_dir: Path, matting: Matting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "openvino", None)
    loaded = inference.load(FAST.path(models_dir))
    assert isinstance(loaded, inference.OnnxRuntime)

    ours = Matting(FAST, loaded).matte(picture("coffee")).astype(int)
    theirs = matting.matte(picture("coffee")).astype(int)

    # bfloat16 keeps 8 bits of a number, so single pixels on an edge differ.
    assert np.abs(ours - theirs).mean() < 1


def test_a_cached_network_gives_the_same(models_dir: Path, tmp_path: Path) -> None:
    planes = np.random.default_rng(0).random((1, 3, 320, 320), np.float32)

    first = inference.load(FAST.path(models_dir), tmp_path / "cache").infer(planes)
    assert list((tmp_path / "cache").glob("*/*.blob"))
    second = inference.load(FAST.path(models_dir), tmp_path / "cache").infer(planes)

    np.testing.assert_array_equal(first, second)


def test_caches_of_other_networks_are_cleared_away(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "u2net-2020.1").mkdir()

    inference.load(FAST.path(models_dir), tmp_path)

    assert [folder.name.startswith("u2netp-") for folder in tmp_path.iterdir()] == [True]


def test_a_cache_that_cannot_be_written_is_done_without(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    loaded = inference.load(FAST.path(models_dir), tmp_path / "file" / "cache")

    assert loaded.infer(np.zeros((1, 3, 320, 320), np.float32)).shape == (320, 320)


def test_threads_share_one_network(quick_matting: Matting) -> None:
    names = ["astronaut", "chelsea", "coffee", "rocket"]
    alone = [quick_matting.matte(picture(name)) for name in names]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda name: quick_matting.matte(picture(name)), names * 2))

    for one, other in zip(alone * 2, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="the filter is written for Linux on x86-64",
)
class TestNothingPhonesHome:
    def test_inference_opens_no_internet_socket(self, models_dir: Path) -> None:
        done = python(NO_INTERNET + INFER, str(models_dir))

        assert (done.returncode, done.stdout) == (0, "inferred\n"), done.stderr

    def test_and_the_filter_would_have_caught_one(self) -> None:
        done = python(NO_INTERNET + "import socket; socket.socket(socket.AF_INET)")

        assert done.returncode == -31, "SIGSYS"
