"""Writes what the Helm chart has from elsewhere, and the plain manifests that are its rendering.

    uv run scripts/chart.py

The schema of its values and the table in its README come from values.yaml and from inferq's settings; alerts,
dashboard and test script are copies, since a chart reads no file outside of its folder. A test holds all of
it to what this makes.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python

from inferq.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy/helm/inferq"
MANIFESTS = ROOT / "deploy/kubernetes/inferq.yaml"
MANIFEST_VALUES = ROOT / "deploy/kubernetes/values.yaml"
COPIES = {
    "alerts.yml": ROOT / "deploy/monitoring/alerts.yml",
    "inferq.json": ROOT / "deploy/monitoring/grafana/dashboards/inferq.json",
    "test_async.sh": ROOT / "test_async.sh",
}
_WITH_VALUES_OF_THEIR_OWN = {
    *("redis_url", "shards", "api_keys", "webhook_secret", "blob_store", "models", "providers"),
    *("worker_metrics_port", "worker_metrics_host", "pod_name"),
}
_NOT_OF_THE_CHART = {"models_dir", "data_dir", "url", "api_key"}
"""The folder where the repository is mounted, and settings of other programs."""

_SETTINGS: dict[str, dict[str, Any]] = Settings.model_json_schema(by_alias=False)["properties"]
_NAME = {"type": "string", "maxLength": 63, "pattern": "^([a-z0-9]([a-z0-9-]*[a-z0-9])?)?$"}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_OBJECT = {"type": "object"}
_OBJECTS = {"type": "array", "items": _OBJECT}
_POLICY = {"enum": ["Always", "IfNotPresent", "Never"]}
_COUNT = {"type": "integer", "minimum": 0}
_AT_LEAST_ONE = {"type": "integer", "minimum": 1}
_SHARE = {"anyOf": [_COUNT, {"type": "string", "pattern": "^[0-9]{1,3}%$"}]}
_URL = {"type": "string", "pattern": "^(https?://.+)?$"}
_CHOICES = {"type": "array", "items": {"type": "string", "pattern": "^[^,\\s]+$"}}
_FORMS: dict[str, dict[str, Any]] = {
    # whole paths
    "nameOverride": _NAME,
    "fullnameOverride": _NAME | {"maxLength": 41},
    "redis.url": {"type": "string", "pattern": "^((rediss?|unix|redis\\+sentinel|rediss?\\+cluster)://.+)?$"},
    "redis.shards": {"type": "integer", "minimum": 1, "maximum": 256},
    "valkey.maxMemory": {"type": "string", "pattern": "^[0-9]+([kmg]b?)?$"},
    "modelRepository.store.url": {"type": "string", "pattern": "^(s3://.+)?$"},
    "blobStore.url": {"type": "string", "pattern": _SETTINGS["blob_store"]["pattern"]},
    "proxy.autoscaling.targetCPUUtilizationPercentage": {"type": "integer", "minimum": 1, "maximum": 100},
    "proxy.ingress.hosts": {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["host", "paths"],
            "properties": {
                "host": {"type": "string"},
                "paths": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["path", "pathType"],
                        "properties": {
                            "path": {"type": "string", "pattern": "^/"},
                            "pathType": {"enum": ["Prefix", "Exact", "ImplementationSpecific"]},
                        },
                    },
                },
            },
        },
    },
    "proxy.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "worker.replicas": {"type": ["integer", "null"], "minimum": 0},
    "worker.longRunsGoLast": {"type": ["boolean", "null"]},
    "worker.terminationGracePeriodSeconds": {"type": ["integer", "null"], "minimum": 10},
    "worker.keda.trigger": {"enum": ["seconds", "jobs"]},
    "worker.keda.targetWaitSeconds": {"type": "number", "exclusiveMinimum": 0},
    "metrics.workerPort": {"type": "integer", "minimum": 0, "maximum": 65535},
    # last parts of paths
    "settings": {"$ref": "#/definitions/settings"},
    "workers": {"type": "array", "items": {"$ref": "#/definitions/group"}},
    "existingSecret": _NAME | {"maxLength": 253, "pattern": "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$"},
    "existingSecretKey": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$"},
    "pullPolicy": _POLICY,
    "imagePullPolicy": _POLICY,
    "endpoint": _URL,
    "port": _PORT,
    "redisPorts": {"type": "array", "items": _PORT},
    "egressPorts": {"type": "array", "items": _PORT},
    "replicas": _COUNT,
    "minReplicas": _COUNT,
    "maxReplicas": _AT_LEAST_ONE,
    "maxUnavailable": _SHARE,
    "interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"},
    "models": _CHOICES,
    "providers": _CHOICES,
    **dict.fromkeys(("labels", "commonLabels", "podLabels", "nodeSelector"), _TEXTS),
    **dict.fromkeys(("annotations", "podAnnotations"), _TEXTS),
    **dict.fromkeys(("affinity", "behavior", "resources", "strategy"), _OBJECT),
    **dict.fromkeys(("podSecurityContext", "securityContext"), _OBJECT),
    **dict.fromkeys(
        ("imagePullSecrets", "proxy.ingress.tls", "tolerations", "topologySpreadConstraints"), _OBJECTS
    ),
    **dict.fromkeys(("extraEnv", "extraVolumes", "extraVolumeMounts"), _OBJECTS),
    **dict.fromkeys(("proxyFrom", "metricsFrom", "valkeyFrom", "extraEgress"), _OBJECTS),
}
"""The form of values of which the default does not tell it."""


def make_files() -> dict[Path, str]:
    """Makes the text of each file that has its source elsewhere, but for the manifests, which need them."""
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    head = readme.partition("| value |")[0]
    return {
        **{CHART / "files" / name: source.read_text(encoding="utf-8") for name, source in COPIES.items()},
        CHART / "values.schema.json": json.dumps(make_schema(values), indent=2) + "\n",
        CHART / "README.md": head + make_table(values),
    }


def make_manifests() -> str:
    """Renders the chart as plain manifests, without what only Helm runs."""
    values = helm_python.values_from_yaml(MANIFEST_VALUES.read_text(encoding="utf-8"))
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values, name="inferq", namespace="inferq")
    texts = [
        "\n".join(filter(str.strip, text.strip().removeprefix("---").splitlines()))
        for name, text in sorted(rendered.items())
        if name.endswith(".yaml") and "/templates/tests/" not in name
    ]
    head = "# Made by `uv run scripts/chart.py`: the chart deploy/helm/inferq with values.yaml beside this.\n"
    return head + "---\n" + "\n---\n".join(filter(None, texts)) + "\n"


def name_setting(field: str) -> str:
    """Returns the name by which values of the chart have a setting."""
    first, *others = field.split("_")
    return first + "".join(part.title() for part in others)


def make_schema(values: str) -> dict[str, Any]:
    """Makes the JSON schema of the values: nothing is allowed that values.yaml has not.

    Args:
        values: The text of values.yaml.
    """
    defaults = helm_python.values_from_yaml(values)
    properties = {name: _describe(name, value) for name, value in defaults.items()}
    worker = properties["worker"]["properties"]
    own = {
        "name": _NAME | {"minLength": 1, "maxLength": 20},
        "fullnameOverride": _NAME,
        "modelRepository": {"$ref": "#/definitions/modelRepository"},
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart inferq",
        "type": "object",
        "additionalProperties": False,
        # null, as after `settings:` with nothing below, takes one away
        "required": list(properties),
        # of a parent chart
        "properties": properties | {"global": _OBJECT},
        "definitions": {
            "settings": _describe_settings(),
            "modelRepository": properties["modelRepository"],
            "group": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": own | worker,
            },
        },
    }


def _describe(path: str, default: object) -> dict[str, Any]:
    last = path.rpartition(".")[2]
    for key in (path, last):
        if key in _FORMS:
            return _FORMS[key]
    match default:
        case dict():
            parts = {name: _describe(f"{path}.{name}", value) for name, value in default.items()}
            return {"type": "object", "additionalProperties": False, "properties": parts}
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return _COUNT
        case str():
            return {"type": "string"}
    raise ValueError(f"{path}: its default does not tell its form; say it in _FORMS of {__file__}")


def _describe_settings() -> dict[str, Any]:
    """Takes types, limits and choices from the settings themselves; null leaves one out."""
    kept = ("enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "minLength", "description")
    properties = {}
    for field, its in _SETTINGS.items():
        if field not in _WITH_VALUES_OF_THEIR_OWN | _NOT_OF_THE_CHART:
            limits = {key: its[key] for key in kept if key in its}
            limits["description"] = f"INFERQ_{field.upper()}: {' '.join(limits['description'].split())}"
            if "enum" in limits:
                limits["enum"] = [*limits["enum"], None]
            properties[name_setting(field)] = {"type": [its["type"], "null"], **limits}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def make_table(values: str) -> str:
    """Makes the table of all values that a comment describes.

    Args:
        values: The text of values.yaml.
    """
    rows = [f"| `{path}` | {default} | {comment} |" for path, default, comment in _read_comments(values)]
    return "\n".join(["| value | default | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def _read_comments(values: str) -> Iterator[tuple[str, str, str]]:
    parents: list[str] = []
    comments: list[str] = []
    for line in values.splitlines():
        if found := re.fullmatch(r" *# ?(.*)", line):
            comments.append(found[1])
        elif found := re.fullmatch(r"( *)([A-Za-z]\w*):(?: +(.*))?", line):
            parents = [*parents[: len(found[1]) // 2], found[2]]
            if comments:
                yield ".".join(parents), f"`{found[3]}`" if found[3] else "", " ".join(comments)
            comments = []
        else:
            comments = []


def main() -> None:
    """Writes all files, and the manifests with them."""
    for file, text in make_files().items():
        file.write_text(text, encoding="utf-8")
    MANIFESTS.write_text(make_manifests(), encoding="utf-8")


if __name__ == "__main__":
    main()
