"""The services of docker-compose.yml."""

import pytest
import yaml

from tests.unit.test_documents import ROOT

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


def test_monitoring_and_gpus_are_started_only_where_their_profiles_are_asked_for():
    assert {name: service.get("profiles") for name, service in SERVICES.items()} == {
        "redis": None,
        "proxy": None,
        "worker": None,
        "worker-gpu": ["gpu"],
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
    }


def test_worker_on_a_gpu_differs_from_the_others_by_build_provider_and_device_alone():
    own, other = SERVICES["worker-gpu"], SERVICES["worker"]
    differing = {key for key in own | other if own.get(key) != other.get(key)}
    assert differing == {"profiles", "build", "environment", "deploy"}
    assert own["environment"].items() - other["environment"].items() == {
        ("INFERQ_PROVIDERS", "${INFERQ_PROVIDERS:-cuda}")
    }
    [device] = own["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


@pytest.mark.parametrize("name", ["worker", "worker-gpu"])
def test_build_arguments_are_those_of_the_file(name):
    build = SERVICES[name]["build"]
    text = (ROOT / build["dockerfile"]).read_text(encoding="utf-8")
    assert all(f"\nARG {argument}=\n" in text for argument in build["args"])
