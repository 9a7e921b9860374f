"""Renders the Helm chart as the tests look at it."""

import functools
from pathlib import Path

import helm_python
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy/helm/inferq"
CASES = sorted(file.name.removesuffix("-values.yaml") for file in (CHART / "ci").iterdir())
NAMESPACE = "team"


def read_values(case):
    return helm_python.values_from_yaml((CHART / f"ci/{case}-values.yaml").read_text(encoding="utf-8"))


def render(values, name="release"):
    """What a chart makes of values, all resources of all templates, and what it says as NOTES.txt."""
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values, name=name, namespace=NAMESPACE)
    notes = rendered.pop("inferq/templates/NOTES.txt")
    return [one for text in rendered.values() for one in yaml.safe_load_all(text) if one], notes


@functools.cache
def render_case(case):
    return render(read_values(case))[0]


def find(resources, kind, name=None):
    found = [one for one in resources if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    return found if name is None else found[0]


def read_pods(resources):
    """The metadata and spec of each pod, those of controllers as they make them, by the resource's name."""
    return {
        one["metadata"]["name"]: one if one["kind"] == "Pod" else one["spec"]["template"]
        for one in resources
        if one["kind"] in ("Deployment", "StatefulSet", "Pod")
    }


def read_containers(resources):
    return [
        container
        for pod in read_pods(resources).values()
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ()))
    ]


def selects(selector, labels):
    return selector["matchLabels"].items() <= labels.items()


def read_variables(container):
    """The environment as the container sees it, with something valid where a Secret says it."""
    from_elsewhere = {
        "INFERQ_REDIS_URL": "redis://localhost/0",
        "INFERQ_API_KEYS": f"name:{64 * '0'}",
        "INFERQ_WEBHOOK_SECRET": f"whsec_{32 * 'a'}",
        "INFERQ_MODEL_THREADS": "4",
        "INFERQ_POD_NAME": "worker-7f6c-x2",
    }
    return {
        one["name"]: one.get("value", from_elsewhere.get(one["name"], "from elsewhere"))
        for one in container["env"]
    }
