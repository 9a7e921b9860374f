"""Layers of neural networks, and estimators of scikit-learn."""

from inferq.models.row_dependence.abstract_values import AbstractValue, make_untracked, replace_length
from inferq.models.row_dependence.axis_lengths import ONE, ROWS, make_unknown_length, multiply
from inferq.models.row_dependence.traced_node import TracedNode


def follow_spatial(node: TracedNode) -> AbstractValue:
    """Follows rows through an operator on each image, signal or volume of a batch, [n, channels, …]."""
    value = node.input(0)
    if any(other.holds_rows for other in node.inputs[1:] if other.row_axis != 0):
        return make_untracked(node.inputs)
    node.refuse_along(value, range(1, 64), "works across all rows")
    shape = (
        None if value.shape is None else (value.shape[0], *(make_unknown_length() for _ in value.shape[1:]))
    )
    return value.with_shape(shape)


def follow_global_pool(node: TracedNode) -> AbstractValue:
    """Follows rows through `GlobalAveragePool` and its like."""
    value = follow_spatial(node)
    ones = None if value.shape is None else (*value.shape[:2], *(ONE for _ in value.shape[2:]))
    return value.with_shape(ones)


def follow_recurrent(node: TracedNode) -> list[AbstractValue]:
    """Follows rows through `LSTM`, `GRU` and `RNN`, whose first axis is time unless `layout` is 1."""
    is_batch_first = node.integer("layout", 0) == 1
    value, batch = node.input(0), 0 if is_batch_first else 1
    node.refuse_along(value, [axis for axis in range(3) if axis != batch], "takes all rows for one sequence")
    holds_rows = any(one.holds_rows for one in node.inputs)
    length = (ROWS if holds_rows else make_unknown_length(),)
    steps = (
        (make_unknown_length(), make_unknown_length(), *length)
        if batch
        else (*length, make_unknown_length(), make_unknown_length())
    )
    state = (make_unknown_length(), *length) if batch else (*length, make_unknown_length())
    is_known = holds_rows and (value.row_axis is not None or not value.holds_rows)
    return [
        AbstractValue((*steps, make_unknown_length()), holds_rows, (2 if batch else 0) if is_known else None),
        *[AbstractValue((*state, make_unknown_length()), holds_rows, batch if is_known else None)]
        * (len(node.outputs) - 1),
    ]


def follow_attention(node: TracedNode) -> list[AbstractValue]:
    """Follows rows through attention, whose first axis is the batch."""
    value = node.input(0)
    node.refuse_along(value, range(1, 64), "works across all rows")
    present = 1 if node.operator == "Attention" and node.domain else 0
    rest = value.with_row_axis(None if value.row_axis is None else present, None)
    return [value.with_shape(None), *[rest] * (len(node.outputs) - 1)]


def follow_estimator(node: TracedNode) -> list[AbstractValue]:
    """Follows rows through an estimator, which takes a table of rows, or a single row."""
    value = node.input(0)
    if value.holds_rows and value.rank == 1:
        node.refuse("takes all rows for the features of one")
    node.refuse_along(value, range(1, 64), "takes all rows for the features of one")
    table = value.with_shape(
        (value.shape[0] if value.shape else make_unknown_length(), make_unknown_length())
    )
    labels = value.with_shape(table.shape and table.shape[:1])
    is_classifier = node.operator.endswith("Classifier")
    return [labels if is_classifier else table, *[table] * (len(node.outputs) - 1)]


def follow_array_feature_extractor(node: TracedNode) -> AbstractValue:
    """Follows rows through `ArrayFeatureExtractor`, whether the table or the indices hold them."""
    data, indices = node.input(0), node.input(1)
    node.refuse_along(data, [-1] if data.shape else [], "picks some of all rows")
    if not indices.holds_rows:
        return data.with_shape(replace_length(data, -1, make_unknown_length()))
    if data.holds_rows:
        return make_untracked(node.inputs)
    before = (ONE,) if data.rank == 1 else (data.shape or ())[:-1]
    count = multiply(indices.shape) if indices.shape is not None else make_unknown_length()
    return AbstractValue((*before, count), True, len(before) if data.shape is not None else None)


def follow_list_per_value(node: TracedNode) -> AbstractValue:
    """Follows rows through an operator that makes a list of each element, along a new last axis."""
    value = node.input(0)
    return value.with_shape(None if value.shape is None else (*value.shape, make_unknown_length()))


def follow_feature_vectorizer(node: TracedNode) -> AbstractValue:
    """Follows rows through `FeatureVectorizer`."""
    axes = {value.row_axis for value in node.inputs if value.holds_rows}
    return AbstractValue(
        (make_unknown_length(), make_unknown_length()), bool(axes), 0 if axes == {0} else None
    )
