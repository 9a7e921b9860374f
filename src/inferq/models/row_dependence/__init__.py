"""Whether the rows of a model depend on each other, as far as its graph says so.

`propagation` follows the rows of the inputs through the graph; `operators` has a rule for each operator. All
of it needs the standard library alone.
"""

from inferq.models.row_dependence.propagation import find_dependence

__all__ = ["find_dependence"]
