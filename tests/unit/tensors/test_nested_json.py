import json
import math
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from inferq.tensors.nested_arrays import nest
from inferq.tensors.nested_json import NestedJsonWriter


@given(st.data())
def test_values_that_come_in_parts_are_nested_as_if_they_came_at_once(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=4)))
    values = list(range(prod(shape)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=5)))
    parts = [(start, values[start:end]) for start, end in zip([0, *cuts], [*cuts, len(values)], strict=True)]
    writer = NestedJsonWriter(shape)
    assert json.loads(b"".join(writer.write(part) for _, part in parts)) == nest(values, shape)
    others = [NestedJsonWriter(shape, start).write(part) for start, part in parts]
    assert json.loads(b"".join(others)) == nest(values, shape)


def test_what_is_not_finite_becomes_null():
    assert NestedJsonWriter((3, 1)).write([math.nan, math.inf, 1.5]) == b"[[null],[null],[1.5]]"
