"""Schemas of pydantic-core for nested lists of one shape and datatype."""

import math

from pydantic_core import CoreSchema, SchemaValidator, core_schema

from inferq.tensors.signature import Datatype

NON_FINITE_WORDS = ("NaN", "Infinity", "-Infinity")
"""How `data` names the numbers that JSON lacks."""


def make_array_validator(value: CoreSchema, shape: list[int]) -> SchemaValidator:
    """Returns a validator of nested lists.

    Args:
        value: Schema of the values in them.
        shape: Length of each axis, -1 where any length fits; empty for a single value.
    """
    schema = value
    for size in reversed(shape):
        low, high = (None, None) if size < 0 else (size, size)
        schema = core_schema.list_schema(schema, min_length=low, max_length=high, strict=True, fail_fast=True)
    return SchemaValidator(schema)


def make_value_schema(datatype: Datatype) -> CoreSchema:
    """Returns a schema for a value of a datatype; floats are finite."""
    if datatype is Datatype.BOOL:
        return core_schema.bool_schema(strict=True)
    if datatype is Datatype.BYTES:
        return core_schema.str_schema(strict=True)
    low, high = datatype.limits
    if datatype.is_float:
        return core_schema.float_schema(strict=True, ge=low, le=high, allow_inf_nan=False)
    return core_schema.int_schema(strict=True, ge=int(low), le=int(high))


def make_float_schema(datatype: Datatype) -> CoreSchema:
    """Returns a schema for a float that may also be NaN or infinite: as null, as a word, or as a float.

    Args:
        datatype: One that has NaN, and perhaps infinities.
    """
    return core_schema.union_schema(
        [
            make_value_schema(datatype),
            core_schema.none_schema(),
            core_schema.literal_schema([*datatype.non_finite_words]),
            core_schema.no_info_plain_validator_function(
                _require_non_finite if "Infinity" in datatype.non_finite_words else _require_nan
            ),
        ],
        mode="left_to_right",
        custom_error_type="float",  # one error, located at the value
        custom_error_message="no float",
    )


def _require_non_finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return value
    raise ValueError


def _require_nan(value: object) -> object:
    if isinstance(value, float) and math.isnan(value):
        return value
    raise ValueError
