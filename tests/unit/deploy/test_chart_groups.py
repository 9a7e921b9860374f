"""What the settings and the groups of workers of the Helm chart become."""

import pytest

from inferq.jobs import Priority
from inferq.queue.schema.keys import Keys
from inferq.settings import Settings, load_settings
from tests.unit.deploy.charts import (
    CASES,
    ROOT,
    find,
    read_containers,
    read_pods,
    read_values,
    read_variables,
    render,
    render_case,
)


@pytest.mark.parametrize("case", CASES)
def test_variables_of_containers_are_settings_with_valid_values(case, monkeypatch):
    containers = [one for one in read_containers(render_case(case)) if one["name"] in ("proxy", "worker")]
    for container in containers:
        variables = read_variables(container)
        assert len(variables) == len(container["env"])
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            settings = load_settings()
        unknown = {name for name in variables if name.startswith("INFERQ_")} - {
            f"INFERQ_{field.upper()}" for field in settings.model_fields_set
        }
        assert unknown == set()


def test_long_numbers_and_empty_ones_reach_settings_as_they_are_meant():
    [cpu] = read_pods(render_case("production"))["inference-cpu"]["spec"]["containers"]
    variables = read_variables(cpu)
    assert variables["INFERQ_MAX_QUEUED_BYTES"] == "68719476736"
    assert variables["INFERQ_BATCH_BUDGET_SECONDS"] == "0.02"
    assert variables["INFERQ_STRICT_MODELS"] == "true"
    assert variables["INFERQ_SHUTDOWN_SECONDS"] == "120"
    assert "INFERQ_ACCESS_LOG" not in variables


def test_workers_that_say_nothing_of_their_stop_have_as_long_as_the_default_needs():
    values = read_values("minimal") | {"settings": {"shutdownSeconds": None}}
    pod = read_pods(render(values)[0])["worker"]["spec"]
    assert "INFERQ_SHUTDOWN_SECONDS" not in read_variables(pod["containers"][0])
    assert pod["terminationGracePeriodSeconds"] == Settings().shutdown_seconds + 10


def test_command_of_the_seed_scales_what_the_chart_makes():
    resources = render_case("minimal")
    assert find(resources, "Deployment", "worker")["spec"]["replicas"] == 2
    assert "kubectl -n team scale deployment worker --replicas=5" in render(read_values("minimal"))[1]


def test_groups_have_what_they_say_and_else_what_all_have():
    pods = read_pods(render_case("production"))
    cpu, gpu = (pods[f"inference-{name}"]["spec"] for name in ("cpu", "gpu"))
    assert read_variables(cpu["containers"][0])["INFERQ_MODELS"] == "!segment"
    assert read_variables(gpu["containers"][0])["INFERQ_MODELS"] == "segment@2,segment@3"
    assert read_variables(gpu["containers"][0])["INFERQ_PROVIDERS"] == "tensorrt,cuda"
    assert "INFERQ_PROVIDERS" not in read_variables(cpu["containers"][0])
    assert gpu["terminationGracePeriodSeconds"] == 300
    assert cpu["terminationGracePeriodSeconds"] == 130
    assert gpu["containers"][0]["resources"]["limits"] == {"memory": "2Gi", "nvidia.com/gpu": 1}
    deployments = {
        one["metadata"]["name"]: one["spec"] for one in find(render_case("production"), "Deployment")
    }
    assert deployments["inference-cpu"]["replicas"] == 8
    assert "replicas" not in deployments["inference-gpu"]


def test_threads_of_a_run_follow_the_limit_of_processors_or_what_is_requested():
    pods = read_pods(render_case("production"))
    asked = {
        name: next(
            one["valueFrom"]["resourceFieldRef"]["resource"]
            for one in pods[f"inference-{name}"]["spec"]["containers"][0]["env"]
            if one["name"] == "INFERQ_MODEL_THREADS"
        )
        for name in ("cpu", "gpu")
    }
    assert asked == {"cpu": "limits.cpu", "gpu": "requests.cpu"}


def test_models_come_from_an_image_a_claim_a_copy_or_a_store():
    def volume_of(case, name):
        pod = read_pods(render_case(case))[name]["spec"]
        [mount] = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "models"]
        assert (mount["mountPath"], mount["readOnly"]) == ("/app/models", True)
        [volume] = [one for one in pod["volumes"] if one["name"] == "models"]
        commands = [one["command"] for one in pod.get("initContainers", ())]
        return {key: value for key, value in volume.items() if key != "name"}, mount.get("subPath"), commands

    image = {"reference": "registry.example.com/models:7", "pullPolicy": "IfNotPresent"}
    assert volume_of("production", "inference-gpu") == ({"image": image}, None, [])
    claim = {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
    assert volume_of("production", "inference-cpu") == (claim, "current", [])
    copy = ["cp", "-R", "/models/.", "/models/"]
    assert volume_of("keda", "worker") == ({"emptyDir": {}}, None, [copy])
    fetch = ["aws", "s3", "cp", "--recursive", "--no-progress", "s3://models/vision", "/models/"]
    assert volume_of("keda", "release-inferq-vision") == ({"emptyDir": {}}, None, [fetch])
    assert (
        "WORKDIR /app\nCOPY --from=builder /build/models models" in (ROOT / "Dockerfile.worker").read_text()
    )


def read_triggers(case, name):
    spec = find(render_case(case), "ScaledObject", name)["spec"]
    return spec, [(one["type"], one["metadata"]) for one in spec["triggers"]]


def test_keda_asks_the_proxy_for_the_number_of_workers_with_a_key():
    spec, triggers = read_triggers("keda", "worker")
    url = "http://release-inferq-proxy.team.svc:8000/queue/iris?target_wait_seconds=20.5"
    number = {"url": url, "valueLocation": "needed_workers", "targetValue": "1", "authMode": "bearer"}
    assert triggers == [("metrics-api", number)]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 10)
    [service] = [one for one in find(render_case("keda"), "Service") if one["metadata"]["name"] in url]
    assert [port["port"] for port in service["spec"]["ports"]] == [8000]
    name = spec["triggers"][0]["authenticationRef"]["name"]
    authentication = find(render_case("keda"), "TriggerAuthentication", name)["spec"]
    assert authentication == {
        "secretTargetRef": [{"parameter": "token", "name": "keda-key", "key": "api-key"}]
    }


def test_workers_of_several_models_are_as_many_as_all_of_these_need():
    spec, triggers = read_triggers("keda", "release-inferq-vision")
    assert [metadata["url"].partition("?")[0].rpartition("/")[2] for _, metadata in triggers] == [
        "resnet",
        "digits@2",
    ]
    assert spec["advanced"]["scalingModifiers"]["formula"] == " + ".join(
        one["name"] for one in spec["triggers"]
    )
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 40)


@pytest.mark.parametrize("case", ["jobs", "jobs-elsewhere"])
def test_keda_counts_jobs_that_have_not_ended_of_every_priority(case):
    [scaled] = find(render_case(case), "ScaledObject")
    spec, triggers = read_triggers(case, scaled["metadata"]["name"])
    keys = Keys(read_values(case).get("settings", {}).get("keyPrefix", ""))
    assert [metadata["listName"] for _, metadata in triggers] == [keys.open("iris", one) for one in Priority]
    assert spec["advanced"]["scalingModifiers"]["target"] == triggers[0][1]["listLength"]
    assert all(isinstance(value, str) for _, metadata in triggers for value in metadata.values())
    assert len(find(render_case(case), "TriggerAuthentication")) == 1


def test_workers_of_all_groups_keep_the_models_of_those_that_may_have_none():
    def read_lifetimes(case):
        pods = [
            pod
            for pod in read_pods(render_case(case)).values()
            if "worker-group" in pod["metadata"]["labels"]
        ]
        return {read_variables(pod["spec"]["containers"][0]).get("INFERQ_MODEL_TTL_SECONDS") for pod in pods}

    assert read_lifetimes("keda") == {"2592000"}
    assert read_lifetimes("production") == {None}
    workers = [{"name": "w", "models": ["iris"], "keda": {"enabled": True}}]
    values = read_values("minimal") | {"workers": workers, "settings": {"modelTtlSeconds": 60}}
    [pod] = [pod for name, pod in read_pods(render(values)[0]).items() if name.endswith("-w")]
    assert read_variables(pod["spec"]["containers"][0])["INFERQ_MODEL_TTL_SECONDS"] == "60"


def test_only_workers_that_mark_their_pod_have_a_token_which_may_do_that_alone():
    with_token = {
        case: {
            name
            for name, pod in read_pods(render_case(case)).items()
            if pod["spec"]["automountServiceAccountToken"]
        }
        for case in CASES
    }
    assert with_token == {case: set() for case in CASES} | {
        "jobs": {"release-inferq-iris"},
        "jobs-elsewhere": {"worker"},
        "keda": {"worker", "release-inferq-vision"},
    }
    for case, names in with_token.items():
        resources = render_case(case)
        pods = read_pods(resources).items()
        assert names == {
            name for name, pod in pods if "INFERQ_POD_NAME" in str(pod["spec"]["containers"][0]["env"])
        }
        rights = [rule for role in find(resources, "Role") for rule in role["rules"]]
        assert rights == ([{"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}] if names else [])
        for binding in find(resources, "RoleBinding"):
            assert find(resources, "Role", binding["roleRef"]["name"])
            [subject] = binding["subjects"]
            assert {pod["spec"]["serviceAccountName"] for name, pod in pods if name in names} == {
                subject["name"]
            }
