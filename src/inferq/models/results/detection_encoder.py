"""Results of a detector: boxes in the picture's own pixels instead of the outputs themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from inferq.errors import ModelError
from inferq.media.geometry import Frame
from inferq.models.arrays import Array
from inferq.models.results.encoders import Outputs, slice_rows
from inferq.tensors.json_codec import write_arrays
from inferq.tensors.media_specs import DetectionSpec

_MOST_CANDIDATES = 30_000
"""Of one picture, those with the highest scores: what a comparison of all with all can be made of."""


@dataclass(frozen=True)
class DetectionEncoder:
    """The result of a detector: `{"boxes": [{"box", "score", "label", "class_index"}, …]}`, best first.

    `box` is [x1, y1, x2, y2]: where the job's data was a picture, in its own pixels, turned as its EXIF data
    says; else in those of the input. n rows of other data give a list of n such objects.

    Attributes:
        class_names: Names of the classes, by index.
        spec: Which output holds boxes, in which form, and what is left out.
    """

    gives_outputs: ClassVar[bool] = False
    class_names: list[str]
    spec: DetectionSpec

    def encode(
        self, outputs: Outputs, rows: Sequence[int] | None, frames: Sequence[Frame | None] = (), /
    ) -> list[bytes]:
        """Returns the JSON of each job's result; see `ResultEncoder`."""
        found = outputs[self.spec.output]
        expected = 4 + len(self.class_names) if self.spec.form == "candidates" else 6
        axis = 1 if self.spec.form == "candidates" else 2
        total = None if rows is None else sum(rows)
        if found.ndim != 3 or found.shape[axis] != expected or total not in (None, len(found)):
            raise ModelError(
                f"Output {self.spec.output!r} has shape {list(found.shape)}, which holds no boxes of "
                f"{len(self.class_names)} classes{'' if total is None else f' for {total} rows of data'}."
            )
        parts = slice_rows([len(found)] if rows is None else rows)
        results = []
        for index, part in enumerate(parts):
            frame = frames[index] if frames else None
            pictures = [self._describe(picture, frame) for picture in found[part]]
            results.append(write_arrays(pictures[0] if len(pictures) == 1 else pictures))
        return results

    def check_example(self, outputs: Outputs) -> None:
        """Accepts all outputs."""

    def _describe(self, picture: Array, frame: Frame | None) -> dict[str, Any]:
        """Returns the boxes of one picture."""
        picture = picture.astype(np.float32, copy=False)
        candidates = self.spec.form == "candidates"
        boxes, scores, classes = _read_candidates(picture, self.spec) if candidates else _read_boxes(picture)
        kept = np.flatnonzero((scores > self.spec.score_threshold) & np.isfinite(boxes).all(axis=1))
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        if candidates:
            kept = kept[:_MOST_CANDIDATES]
            chosen = suppress(boxes[kept], classes[kept], self.spec.iou_threshold, self.spec.max_boxes)
            kept = kept[chosen]
        kept = kept[: self.spec.max_boxes]
        mapped = boxes[kept] if frame is None else map_to_picture(boxes[kept], frame)
        return {
            "boxes": [
                {
                    "box": box,
                    "score": score,
                    "label": self._name(int(index)),
                    "class_index": int(index),
                }
                for box, score, index in zip(mapped, scores[kept], classes[kept], strict=True)
            ]
        }

    def _name(self, index: int) -> str | None:
        return self.class_names[index] if 0 <= index < len(self.class_names) else None


def suppress(boxes: Array, classes: Array, iou_threshold: float, most: int) -> list[int]:
    """Non-maximum suppression: of boxes of one class that overlap, leaves the first.

    Args:
        boxes: [n, 4], x1, y1, x2, y2, best first.
        classes: The class of each.
        iou_threshold: How much of their union two may share.
        most: How many boxes to leave at most.

    Returns:
        The indices of those that are left.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left, kept = np.arange(len(boxes)), list[int]()
    while len(left) and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        near = boxes[left]
        width = np.minimum(near[:, 2], boxes[best, 2]) - np.maximum(near[:, 0], boxes[best, 0])
        height = np.minimum(near[:, 3], boxes[best, 3]) - np.maximum(near[:, 1], boxes[best, 1])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[left] + areas[best] - shared
        left = left[(classes[left] != classes[best]) | ~(shared > iou_threshold * union)]
    return kept


def map_to_picture(boxes: Array, frame: Frame) -> Array:
    """Returns boxes in the pixels of the picture as it came, cut off at its edges."""
    mapped = boxes - np.array([frame.left, frame.top] * 2, dtype=boxes.dtype)
    mapped /= np.array([frame.scale_x, frame.scale_y] * 2, dtype=boxes.dtype)
    clipped: Array = np.clip(mapped, 0, np.array([frame.width, frame.height] * 2, dtype=boxes.dtype))
    return clipped


def _read_candidates(picture: Array, spec: DetectionSpec) -> tuple[Array, Array, Array]:
    """Returns corners, best score and its class of each place: [4 + classes, places]."""
    scores = picture[4:]
    best = scores.max(axis=0)
    positions = np.flatnonzero(best > spec.score_threshold)  # few of thousands
    center, half = picture[:2, positions], picture[2:4, positions] / 2
    boxes = np.concatenate([center - half, center + half]).T
    return boxes, best[positions], scores[:, positions].argmax(axis=0)


def _read_boxes(picture: Array) -> tuple[Array, Array, Array]:
    """Returns corners, score and class of each box: [boxes, 6]."""
    return picture[:, :4], picture[:, 4], np.nan_to_num(picture[:, 5]).astype(np.intp)
