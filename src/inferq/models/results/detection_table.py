"""The table `[detections]` of a model.toml: which boxes of a detector are shown."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from inferq.tensors.media_specs import DetectionSpec

_Share = Annotated[float, Field(ge=0, le=1)]


class DetectionTable(BaseModel):
    """The keys of `[detections]`, all optional.

    Attributes:
        score_threshold: Boxes with this score or a lower one are left out.
        iou_threshold: How much of their union two boxes of one class may share.
        max_boxes: Most boxes of one picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    score_threshold: _Share | None = None
    iou_threshold: _Share | None = None
    max_boxes: Annotated[int, Field(gt=0, le=10_000)] | None = None

    def adjust(self, spec: DetectionSpec) -> DetectionSpec:
        """Returns a specification with what the table says."""
        return spec.model_copy(update=self.model_dump(exclude_none=True))
