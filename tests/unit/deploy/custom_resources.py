"""Reads resources as JSON and fails where KEDA's or the Prometheus operator's types do not have all of it.

Run by test_custom_resources.py in an environment that has these types.
"""

import json
import sys

from cloudcoil.models.keda import v1alpha1
from cloudcoil.models.prometheus_operator import v1


def leave_known(resource):
    """What is left of a resource when its type has read it; raises where a value is of the wrong form."""
    kinds = v1alpha1 if resource["apiVersion"].startswith("keda.sh/") else v1
    read = getattr(kinds, resource["kind"]).model_validate(resource)
    return json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))


def find_lost(before, after, path=""):
    """The paths that the type does not know."""
    if isinstance(before, dict):
        for key, value in before.items():
            if not isinstance(after, dict) or key not in after:
                yield f"{path}.{key}"
            else:
                yield from find_lost(value, after[key], f"{path}.{key}")
    elif isinstance(before, list):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from find_lost(one, other, f"{path}[{index}]")


if __name__ == "__main__":
    lost = []
    for one in json.load(sys.stdin):
        lost += [
            f"{one['kind']} {one['metadata']['name']}{path}" for path in find_lost(one, leave_known(one))
        ]
    sys.exit("\n".join(lost) or 0)
