"""Parses short JSON bodies whose members a schema names."""

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from inferq.errors import BodyTooLargeError, InvalidInputError
from inferq.proxy.http.bodies.predict_body import parse_object, refuse_duplicates

_LONGEST_BYTES = 65536


def parse_strictly[T: BaseModel](raw: bytes, schema: type[T], example: str) -> T:
    """Parses a body that is an object.

    Args:
        raw: The body as it was received.
        schema: Its members.
        example: A sentence with an example, for the errors.

    Raises:
        InvalidJsonError: It is no JSON object.
        InvalidInputError: A member is missing, unknown, sent twice, or of the wrong type.
        BodyTooLargeError: It is longer than any such body.
    """
    if len(raw) > _LONGEST_BYTES:
        raise BodyTooLargeError(
            f"The body of this request has at most {_LONGEST_BYTES} bytes, got {len(raw)}."
        )
    body = parse_object(raw, example)
    try:
        parsed = schema.model_validate_json(to_json(body), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise InvalidInputError(f"{name}: {first['msg']} (got {first['input']!r:.200}). {example}") from error
    refuse_duplicates(raw, 0)
    return parsed
