"""Prepares pictures by the programs that inferq's results are held against, in an environment of its own.

    python judges.py FOLDER

`cases.json` in the folder has objects `name`, `picture` (a file there), `judge`, and the judge's arguments;
`NAME.npy` gets what the judge makes of the picture.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import transformers
from PIL import Image


def run_processor(path: Path, kind: str, config: dict) -> np.ndarray:
    """transformers' image processor with Pillow."""
    processor = getattr(transformers, f"{kind}ImageProcessorPil")(**config)
    return processor(Image.open(path).convert("RGB"), return_tensors="np")["pixel_values"]


def letterbox(path: Path, size: list[int]) -> np.ndarray:
    """What Ultralytics documents of its predictor: LetterBox with `auto=False`, RGB, /255, NCHW."""
    picture = cv2.imread(str(path))
    height, width = picture.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    resized = (round(width * ratio), round(height * ratio))
    if (width, height) != resized:
        picture = cv2.resize(picture, resized, interpolation=cv2.INTER_LINEAR)
    across, down = (size[1] - resized[0]) / 2, (size[0] - resized[1]) / 2
    edges = round(down - 0.1), round(down + 0.1), round(across - 0.1), round(across + 0.1)
    picture = cv2.copyMakeBorder(picture, *edges, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1)[np.newaxis]).astype(np.float32) / 255


JUDGES = {"processor": run_processor, "letterbox": letterbox}


def main(folder: Path) -> None:
    """Runs all cases."""
    for case in json.loads((folder / "cases.json").read_text()):
        name, picture, judge = case.pop("name"), folder / case.pop("picture"), JUDGES[case.pop("judge")]
        np.save(folder / f"{name}.npy", judge(picture, **case))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
