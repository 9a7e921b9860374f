"""The choice of a model's encoder where more than its model.toml says what its outputs are."""

import structlog

from inferq.errors import InvalidModelError
from inferq.models.config import ModelConfig
from inferq.models.preprocessing.media_resolution import MediaSupport
from inferq.models.results.detection_encoder import DetectionEncoder
from inferq.models.results.detection_table import DetectionTable
from inferq.models.results.encoder_choice import choose_encoder
from inferq.models.results.encoders import ResultEncoder
from inferq.tensors.signature import Tensor

log = structlog.get_logger(__name__)


def choose_media_encoder(outputs: list[Tensor], config: ModelConfig, media: MediaSupport) -> ResultEncoder:
    """Returns the encoder for a model: model.toml comes first, then what was found beside it and in it.

    Args:
        outputs: The model's outputs.
        config: Its model.toml.
        media: What was found.

    Raises:
        InvalidModelError: model.toml does not fit the outputs.
    """
    if media.detections is not None and media.class_names is not None:
        names = config.class_names if isinstance(config.class_names, list) else media.class_names
        if len(names) != len(media.class_names):
            raise InvalidModelError(
                f"class_names has {len(names)} names, but the detector knows {len(media.class_names)} "
                "classes. Give one name for each."
            )
        table = config.detections or DetectionTable()
        return DetectionEncoder(names, table.adjust(media.detections))
    if config.detections is not None:
        raise InvalidModelError("[detections] needs a detector that Ultralytics has exported. Remove it.")
    if config.class_names is not None or media.class_names is None:
        return choose_encoder(outputs, config)
    found = {"class_names": media.class_names, "activation": config.activation or media.activation}
    try:
        return choose_encoder(outputs, config.model_copy(update=found))
    except InvalidModelError as error:  # names beside a model must not keep it from being served
        log.warning("class_names_not_used", reason=error.message)
        return choose_encoder(outputs, config)
