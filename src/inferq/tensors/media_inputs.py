"""Which input of a model a picture or a recording is for, and what is said where it is for none."""

from inferq.errors import InvalidInputError
from inferq.tensors.signature import Datatype, ModelDocument, Tensor

_CHANNELS = (1, 3)
_PIXEL_DATATYPES = (Datatype.UINT8, Datatype.FP16, Datatype.FP32, Datatype.FP64)


def find_media_input(document: ModelDocument, media_type: str) -> str:
    """Returns the name of the input that takes a file which is all the data of a job.

    Args:
        document: The model's document.
        media_type: What the file is, such as `image/jpeg`.

    Raises:
        InvalidInputError: None does, or the model needs more inputs; the message says what to write into
            model.toml, or to send.
    """
    spec = document.audio if media_type.startswith("audio/") else document.image
    if spec is None:
        raise InvalidInputError(_explain_refusal(document, None, media_type))
    others = [tensor.name for tensor in document.inputs if tensor.name != spec.input]
    if others:
        raise InvalidInputError(
            f"The model {document.name!r} needs more than a file for {spec.input!r}: "
            f"{', '.join(map(repr, others))} too. Name each input."
        )
    return spec.input


def check_media_input(document: ModelDocument, name: str, media_type: str) -> None:
    """Checks that an input takes a file.

    Args:
        document: The model's document.
        name: The input's name.
        media_type: What the file is, such as `image/jpeg`.

    Raises:
        InvalidInputError: It does not; the message says what to do.
    """
    spec = document.audio if media_type.startswith("audio/") else document.image
    if spec is None or spec.input != name:
        raise InvalidInputError(_explain_refusal(document, name, media_type))


def takes_pictures(tensor: Tensor) -> bool:
    """Whether an input looks as if pictures were meant: four axes, one of them of 1 or 3 channels."""
    return tensor.datatype in _PIXEL_DATATYPES and find_layout(tensor) is not None


def find_layout(tensor: Tensor) -> str | None:
    """Returns the layout of an input for pictures, `NCHW` or `NHWC`; None where its shape leaves it open."""
    if len(tensor.shape) != 4:
        return None
    _, second, _, last = tensor.shape
    if second in _CHANNELS and last in _CHANNELS:
        return None
    return "NCHW" if second in _CHANNELS else "NHWC" if last in _CHANNELS else None


def _explain_refusal(document: ModelDocument, name: str | None, media_type: str) -> str:
    is_sound = media_type.startswith("audio/")
    noun, spec = ("sound", document.audio) if is_sound else ("pictures", document.image)
    where = "" if name is None else f" for its input {name!r}"
    begin = f"The model {document.name!r} takes no {noun}{where}"
    if spec is not None:
        return f"{begin}, but for {spec.input!r}."
    if document.image_problem and not is_sound:
        return f"{begin}: {document.image_problem}"
    tensors = [tensor for tensor in document.inputs if name in (None, tensor.name)]
    is_meant, write = (_takes_sound, _write_audio_table) if is_sound else (takes_pictures, _write_image_table)
    lines = next((write(document, tensor) for tensor in tensors if is_meant(tensor)), None)
    if lines is None:
        inputs = (*document.inputs, *document.optional_inputs)
        return f"{begin}. Send its inputs as arrays: {', '.join(map(str, inputs)) or 'none'}."
    it, numbers = ("it", "sampling rate") if is_sound else ("them", "numbers for scale, mean and std")
    return (
        f"{begin}: nothing says how to prepare {it} for its input. Write at the end of its model.toml what "
        f"was done in training, with its {numbers}; workers read it every "
        f"INFERQ_MODELS_POLL_SECONDS:\n{lines}"
    )


def _takes_sound(tensor: Tensor) -> bool:
    """Whether an input looks as if sound were meant: floats, of as many samples as there are."""
    return tensor.datatype.is_float and len(tensor.shape) in (1, 2, 3) and tensor.shape[-1] < 0


def _write_audio_table(document: ModelDocument, tensor: Tensor) -> str:
    lines = ["[audio]", "sampling_rate = 16000 # or another"]
    if len(document.inputs) > 1:
        lines.insert(1, f'input = "{tensor.name}"')
    if len(tensor.shape) == 3:
        lines.append('layout = "NCT" # recordings, channels, samples')
    return "\n".join(lines)


def _write_image_table(document: ModelDocument, tensor: Tensor) -> str:
    """Returns an [image] table for an input, filled in from its shape; the numbers stand for themselves."""
    layout = find_layout(tensor) or "NCHW"
    sizes = dict(zip(layout, tensor.shape, strict=True))
    channels, height, width = sizes["C"], sizes["H"], sizes["W"]
    lines = ["[image]"]
    if len(document.inputs) > 1:
        lines.append(f'input = "{tensor.name}"')
    if height > 0 and width > 0:
        lines += [f"size = [{height}, {width}]", 'resize = "stretch" # or "shortest" and a crop, "letterbox"']
    else:
        lines.append('resize = "none" # or "stretch", "shortest", "letterbox", and a size')
    lines += [f'layout = "{layout}"', 'color = "RGB" # or "BGR"' if channels == 3 else 'color = "grey"']
    if tensor.datatype.is_float:
        lines += [
            'scale = "1/255" # or 1',
            f"mean = {[0.0] * channels}",
            f"std = {[1.0] * channels}",
        ]
    return "\n".join(lines)
