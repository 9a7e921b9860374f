"""Hypothesis strategies for signatures of models, and for data."""

import math
from typing import Any

from hypothesis import strategies as st

from inferq.tensors.signature import Datatype, ModelDocument, Tensor


def make_document(*inputs: tuple[str, list[int]], **fields: Any) -> ModelDocument:
    """A document of a model with these inputs, each a datatype and a shape."""
    tensors = [
        Tensor(name=f"x{number}", datatype=Datatype(datatype), shape=shape)
        for number, (datatype, shape) in enumerate(inputs)
    ]
    return ModelDocument(name="m", version="a", versions=["a"], inputs=tensors, outputs=[], **fields)


def values(datatype: Datatype) -> st.SearchStrategy[Any]:
    """Values of a datatype, as `data` has them."""
    if datatype is Datatype.BOOL:
        return st.booleans()
    if datatype is Datatype.BYTES:
        return st.text(max_size=5)
    if datatype.is_float:
        low, high = datatype.limits
        whole = st.integers(max(-2048, math.ceil(low)), min(2048, int(high)))
        finite = whole | st.floats(low, high)
        words = datatype.non_finite_words
        if not words:
            return finite
        return finite | st.sampled_from([None, *words, *map(float, words)])
    low, high = datatype.limits
    return st.integers(int(low), int(high))


@st.composite
def signatures(draw: st.DrawFn, min_axes: int = 0, shortest: int = 0) -> ModelDocument:
    """Documents of models with one input of up to three axes."""
    datatype = draw(st.sampled_from(Datatype))
    shape = draw(st.lists(st.sampled_from([-1, -1, *range(shortest, 4)]), min_size=min_axes, max_size=3))
    return make_document((datatype.value, shape))


def nest(draw: st.DrawFn, shape: list[int], leaf: st.SearchStrategy[Any]) -> Any:
    """Nested lists of a shape."""
    if not shape:
        return draw(leaf)
    return [nest(draw, shape[1:], leaf) for _ in range(shape[0])]


@st.composite
def fitting(draw: st.DrawFn, min_axes: int = 0, shortest: int = 0) -> tuple[ModelDocument, Any]:
    """A document, and data that fits it."""
    document = draw(signatures(min_axes, shortest))
    tensor = document.inputs[0]
    shape = [draw(st.integers(shortest, 3)) if size < 0 else size for size in tensor.shape]
    return document, nest(draw, shape, values(tensor.datatype))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x0", "x1"]), inner, max_size=2)
    ),
    max_leaves=8,
)
