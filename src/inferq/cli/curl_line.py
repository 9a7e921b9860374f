"""A line for curl that submits a job to a model, and works as it is printed."""

import json
import os
import shlex

from inferq.tensors.signature import ModelDocument

_LONGEST_DATA = 400
"""Characters of a body that are still easy to read."""
_WAIT_SECONDS = 30


def write_curl_line(document: ModelDocument, name: str, url: str) -> str:
    """Returns a line that submits data which the model takes, and waits for the result.

    Args:
        document: The model's document.
        name: Name of the model, or of a version of it.
        url: Where the service is.
    """
    words = ["curl", "-X", "POST"]
    given = document.make_data()
    data = _make_zeros(document) if given is None else given
    body = json.dumps({"data": data, "model": name}, ensure_ascii=False)
    is_short = len(body) <= _LONGEST_DATA
    if is_short:
        words.append(f"{url}/predict")
    elif given is not None:  # its example, or zeros of its sample shape
        words.append(f"{url}/predict/test?model={name}")
    else:
        words.append(f"{url}/predict?model={name}")
    words += ["-H", f"Prefer: wait={_WAIT_SECONDS}"]
    line = shlex.join(words)
    if os.environ.get("INFERQ_API_KEY"):
        line += ' -H "Authorization: Bearer $INFERQ_API_KEY"'
    if is_short:
        line += f" -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    elif given is None:
        line += " -H 'Content-Type: application/x-npy' --data-binary @data.npy"
    return line


def _make_zeros(document: ModelDocument) -> object:
    zeros = {tensor.name: tensor.make_zeros() for tensor in document.inputs}
    return next(iter(zeros.values())) if len(zeros) == 1 and document.inputs[0].map_keys is None else zeros
