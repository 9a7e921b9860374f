"""The structure of an ONNX file, read without its weights.

The package `onnx` would read it too, for 12 MB of memory in every worker and a copy of all weights. Little of
the format is needed: fields of Protocol Buffers, most of which are skipped by their length. Their numbers are
those of `onnx.proto`, and are the same in all its versions.
"""

import mmap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from inferq.models.onnx_files.onnx_graph import Attribute, Graph, Node, Value, read_domain
from inferq.models.onnx_files.protobuf import as_message, as_text, read_fields


@dataclass(slots=True)
class Function:
    """An operator that the file itself defines.

    Attributes:
        body: Its nodes, with its parameters as inputs and its results as outputs.
        defaults: Attributes that a call may leave out.
        opsets: Version of the operators of each domain, which may differ from the model's.
    """

    body: Graph = field(default_factory=Graph)
    defaults: dict[str, Attribute] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class OnnxFile:
    """What an ONNX file holds but for weights.

    Attributes:
        graph: The main graph.
        opsets: Version of the operators of each domain; empty for ONNX's own.
        functions: The file's own operators by domain, name and overload.
    """

    graph: Graph = field(default_factory=Graph)
    opsets: dict[str, int] = field(default_factory=dict)
    functions: dict[tuple[str, str, str], Function] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file, of which only the pages with structure in them are loaded.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not what ONNX writes.
        """
        found = cls()
        # not closed by hand: attributes, decoded late, look into it
        with path.open("rb") as file:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        for number, value in read_fields(view):
            if number == 7:
                found.graph = Graph.read(as_message(value))
            elif number == 8:
                found.opsets.update(_read_opset(as_message(value)))
            elif number == 25:
                key, function = _read_function(as_message(value))
                found.functions[key] = function
        return found

    def find_files(self) -> list[str]:
        """Returns the external files that its tensors name, each once, in alphabetical order."""
        graphs = [self.graph, *(function.body for function in self.functions.values())]
        return sorted({file for graph in graphs for file in graph.find_files()})


def _read_opset(view: memoryview) -> dict[str, int]:
    domain, version = "", 1
    for number, value in read_fields(view):
        if number == 1:
            domain = read_domain(value)
        elif number == 2 and isinstance(value, int):
            version = value
    return {domain: version}


def _read_function(view: memoryview) -> tuple[tuple[str, str, str], Function]:
    function, name, domain, overload = Function(), "", "", ""
    for number, value in read_fields(view):
        if number == 1:
            name = as_text(value)
        elif number == 4:
            function.body.inputs.append(Value(as_text(value), None))
        elif number == 5:
            function.body.outputs.append(Value(as_text(value), None))
        elif number == 7:
            function.body.nodes.append(Node.read(as_message(value)))
        elif number == 9:
            function.opsets.update(_read_opset(as_message(value)))
        elif number == 10:
            domain = read_domain(value)
        elif number == 11:
            attribute = Attribute(as_message(value))
            function.defaults[attribute.name] = attribute
        elif number == 13:
            overload = as_text(value)
    return (domain, name, overload), function
