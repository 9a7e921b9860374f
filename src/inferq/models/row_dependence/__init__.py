"""Whether the rows of a model depend on each other, as far as its graph says so.

`walk` follows the rows of the inputs through the graph, operator by operator; `operators` lists what each of
them does to rows. All of it needs the standard library alone.
"""

from inferq.models.row_dependence.propagation import find_dependence

__all__ = ["find_dependence"]
