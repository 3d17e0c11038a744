"""The ImageNet weights from which `lite0` starts, read from a file in this package.

`weights/README.md` says where they come from; `convert_imagenet.py` made the file.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

EFFICIENTNET_LITE0 = Path(__file__).parent / "weights" / "efficientnet_lite0.npz"
EFFICIENTNET_LITE0_SHA256 = "5a8dd49a947c55e64018b53b0bffe338ee453146ec6363dc99e9339c80f19743"


class UnreadableWeights(Exception):
    """A file of weights is damaged, or is not the file that was expected."""


def efficientnet_lite0() -> dict[str, npt.NDArray[np.float32]]:
    """Return EfficientNet-Lite0's weights, trained on ImageNet, under PyTorch's names and in its order of axes.

    Raises:
        UnreadableWeights: the file's SHA-256 differs from that of the converted file.
    """
    content = EFFICIENTNET_LITE0.read_bytes()
    if hashlib.sha256(content).hexdigest() != EFFICIENTNET_LITE0_SHA256:
        raise UnreadableWeights(f"{EFFICIENTNET_LITE0.name} is damaged: its SHA-256 differs")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
