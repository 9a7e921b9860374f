"""What made a result: which version of the model, of which bytes, on which runtime."""

from typing import NamedTuple, Self


class Provenance(NamedTuple):
    """What made a result. A job's record holds it as one text: its parts, with spaces between.

    Attributes:
        version: Name of the model's version.
        digest: First 12 hex digits of that of its document; empty if not known.
        runtime: What ran it, such as `onnxruntime-1.32.0`; empty if not known.
        provider: ONNX Runtime's name of the execution provider; empty if not known.
    """

    version: str
    digest: str = ""
    runtime: str = ""
    provider: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what `str` wrote; of records of earlier versions, the version alone."""
        return cls(*text.split(" ")[: len(cls._fields)])

    def __str__(self) -> str:
        return " ".join(self).rstrip()
