"""The values of the Helm chart: what is refused, and what is made from them beside the resources."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import helm_python
import pytest
import yaml
from scripts import chart as chart_script

from inferq.settings import Settings
from tests.unit.deploy.charts import CHART, ROOT, find, read_containers, render, render_case, selects
from tests.unit.test_documents import code_blocks, read

VALKEY = {"valkey": {"enabled": True}}


@pytest.mark.parametrize("file", sorted(chart_script.make_files()), ids=lambda file: file.name)
def test_file_is_what_the_script_makes_now(file):
    expected = chart_script.make_files()[file]
    assert file.read_text(encoding="utf-8") == expected, "run `uv run scripts/chart.py`"


def test_plain_manifests_are_the_rendering_of_the_chart():
    assert chart_script.MANIFESTS.read_text(encoding="utf-8") == chart_script.make_manifests(), (
        "run `uv run scripts/chart.py`"
    )


def test_version_of_the_chart_is_that_of_the_project():
    project = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"] == project
    images = yaml.safe_load(read("deploy/kubernetes/kustomization.yaml"))["images"]
    assert {image["newTag"] for image in images} == {project}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_builds_the_manifests():
    command = ["kubectl", "kustomize", "deploy/kubernetes"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    made = [(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(built.stdout)]
    manifests = yaml.safe_load_all(chart_script.MANIFESTS.read_text(encoding="utf-8"))
    assert sorted(made) == sorted((one["kind"], one["metadata"]["name"]) for one in manifests)


def test_settings_of_the_schema_are_those_of_inferq():
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    names = {
        f"INFERQ_{re.sub('([A-Z])', r'_\1', name).upper()}"
        for name in schema["definitions"]["settings"]["properties"]
    }
    of_other_values = {
        *("REDIS_URL", "SHARDS", "API_KEYS", "WEBHOOK_SECRET", "BLOB_STORE", "MODELS", "PROVIDERS"),
        *("WORKER_METRICS_PORT", "WORKER_METRICS_HOST", "POD_NAME"),
    }
    of_other_programs = {"MODELS_DIR", "DATA_DIR", "URL", "API_KEY"}
    others = {f"INFERQ_{name}" for name in of_other_values | of_other_programs}
    assert names | others == {f"INFERQ_{field.upper()}" for field in Settings.model_fields}
    assert not names & others


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"replicas": 3}, "additional properties 'replicas'"),
        ({"settings": None}, "missing property 'settings'"),
        ({"settings": {"maxQueud": 1}}, "/settings"),
        ({"settings": {"maxQueued": 0}}, "/settings/maxQueued"),
        ({"settings": {"ui": "of"}}, "/settings/ui"),
        ({"settings": {"redisUrl": "redis://elsewhere"}}, "/settings"),
        ({"redis": {"url": "http://elsewhere"}}, "/redis/url"),
        ({"blobStore": {"url": "gs://bucket"}}, "/blobStore/url"),
        ({"proxy": {"replicas": "two"}}, "/proxy/replicas"),
        ({"worker": {"name": "w"}}, "/worker"),
        ({"workers": [{"replicas": 3}]}, "/workers/0"),
        ({"workers": [{"name": "Worker"}]}, "/workers/0/name"),
        ({"workers": [{"name": "w", "keda": {"trigger": "length"}}]}, "/workers/0/keda/trigger"),
        ({"workers": [{"name": "w", "settings": {"maxRows": "many"}}]}, "/workers/0/settings/maxRows"),
    ],
)
def test_wrong_value_is_refused_with_its_path(values, where):
    with pytest.raises(helm_python.HelmValuesError, match=where):
        render(VALKEY | values)


@pytest.mark.parametrize(
    "scheme", ["redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "rediss+cluster"]
)
def test_url_of_every_kind_that_inferq_takes_is_taken(scheme):
    assert render({"redis": {"url": f"{scheme}://elsewhere"}})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"valkey": {"enabled": False}}, "Exactly one of redis.url"),
        ({"redis": {"url": "redis://elsewhere"}}, "Exactly one of redis.url"),
        ({"blobStore": {"url": "file:///blobs"}}, "blobStore.existingClaim has to name the claim"),
        ({"metrics": {"podMonitor": {"enabled": True}}}, "needs metrics.workerPort"),
        (
            {"workers": [{"name": "w", "terminationGracePeriodSeconds": 39}]},
            "is 39, and has to be 40 at least",
        ),
        (
            {"modelRepository": {"claim": {"name": "a"}, "copy": {"image": "b"}}},
            "claim and copy: one is needed",
        ),
        ({"worker": {"keda": {"enabled": True}}}, "keda needs models"),
        ({"worker": {"keda": {"enabled": True}, "models": ["!iris"]}}, "got !iris"),
        (
            {"worker": {"keda": {"enabled": True}, "models": ["iris"]}, "apiKeys": {"existingSecret": "a"}},
            "keda.apiKey.existingSecret has to name",
        ),
        (
            {
                "valkey": {"enabled": False},
                "redis": {"url": "redis://elsewhere"},
                "worker": {"keda": {"enabled": True, "trigger": "jobs"}, "models": ["iris"]},
            },
            "needs keda.redis.address",
        ),
        (
            {"serviceAccount": {"create": False}, "worker": {"longRunsGoLast": True}},
            "needs a service account of its own",
        ),
        (
            {
                "valkey": {"enabled": False},
                "redis": {"existingSecret": "redis", "shards": 2},
                "worker": {"keda": {"enabled": True, "trigger": "jobs"}, "models": ["iris"]},
            },
            "the trigger seconds counts all",
        ),
        (
            {
                "valkey": {"enabled": False},
                "redis": {"url": "rediss+cluster://a:7001,b:7001"},
                "worker": {"keda": {"enabled": True, "trigger": "jobs"}, "models": ["iris"]},
            },
            "the trigger seconds counts all",
        ),
        ({"redis": {"shards": 2}}, "redis.shards is for a Redis Cluster"),
        (
            {"valkey": {"enabled": False}, "redis": {"url": "redis://a,redis://b", "shards": 3}},
            "redis.shards is for a Redis Cluster",
        ),
        (
            {"blobStore": {"url": "s3://bucket/blobs", "existingClaim": "blobs"}},
            "it has to be file:///folder",
        ),
        *(
            ({"blobStore": {"url": f"file://{folder}", "existingClaim": "blobs"}}, "has files of its own")
            for folder in ("/tmp", "/app/", "/app/models", "/blobs/../tmp", "/%74mp")
        ),
        ({"workers": [{"name": "w"}, {"name": "w"}]}, "choose another name"),
        ({"workers": [{"name": "proxy"}]}, "would be called release-inferq-proxy"),
        (
            {"worker": {"models": ["iris"], "keda": {"enabled": True, "minReplicas": 11}}},
            "has to be 10 at most",
        ),
        ({"proxy": {"autoscaling": {"enabled": True, "minReplicas": 11}}}, "has to be 10 at most"),
        (
            {"proxy": {"autoscaling": {"enabled": True}, "resources": {"requests": None}}},
            "needs proxy.resources.requests.cpu",
        ),
        ({"proxy": {"ingress": {"enabled": True}}}, "needs proxy.ingress.hosts"),
        (
            {"settings": {"metricsKeys": "prometheus"}, "metrics": {"serviceMonitor": {"enabled": True}}},
            "has to name a Secret with such a key",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_the_reason(values, reason):
    with pytest.raises(helm_python.HelmRenderError, match=reason):
        render(VALKEY | values)


@pytest.mark.parametrize(
    "url", ["file:///blobs", "file:///app/blobs/", "file:///our%20blobs", "file:///a%23b"]
)
def test_claim_is_mounted_where_the_processes_read_the_blob_store(url):
    resources, _ = render(VALKEY | {"blobStore": {"url": url, "existingClaim": "blobs"}})
    mounts = [
        Path(mount["mountPath"])
        for container in read_containers(resources)
        for mount in container.get("volumeMounts", ())
        if mount["name"] == "blobs"
    ]
    assert mounts == [Path.from_uri(url)] * 2


@pytest.mark.parametrize(
    ("redis", "expected"),
    [
        ("rediss://user:1234@cache:6390/0", [6379, 6390]),
        ("rediss+cluster://a:7001,b:7002", [6379, 7001, 7002]),
        ("redis://a:6379,redis://b:6380", [6379, 6380]),
        ("redis+sentinel://a,b/service", [6379, 26379]),
    ],
)
def test_network_policies_let_through_what_other_values_name(redis, expected):
    values = {
        "redis": {"url": redis},
        "blobStore": {"url": "s3://bucket/blobs", "endpoint": "http://minio:9000"},
        "workers": [
            {"name": "w", "modelRepository": {"store": {"url": "s3://models", "endpoint": "http://models/"}}}
        ],
        "networkPolicy": {
            "enabled": True,
            "proxyFrom": [{"podSelector": {"matchLabels": {"app": "client"}}}],
        },
    }
    resources, _ = render(values)
    for policy in find(resources, "NetworkPolicy"):
        _names, of_redis, others = (
            [port["port"] for port in one["ports"]] for one in policy["spec"]["egress"]
        )
        assert (of_redis, others) == (expected, [443, 6443, 9000, 80])
    [ingress] = find(resources, "NetworkPolicy", "release-inferq-proxy")["spec"]["ingress"]
    _client, test = (one["podSelector"] for one in ingress["from"])
    [pod] = find(resources, "Pod")
    assert selects(test, pod["metadata"]["labels"])


def test_values_with_nothing_below_are_empty():
    nothing = {"podLabels": None, "podAnnotations": None, "resources": None}
    resources, _ = render(VALKEY | {"worker": nothing | {"settings": None}, "proxy": nothing})
    [worker] = find(resources, "Deployment", "worker")["spec"]["template"]["spec"]["containers"]
    assert worker["resources"] is None
    threads = next(one for one in worker["env"] if one["name"] == "INFERQ_MODEL_THREADS")
    assert threads["valueFrom"]["resourceFieldRef"] == {"resource": "requests.cpu"}
    render(VALKEY | {"workers": [{"name": "w", "resources": {"limits": None}}]})


def test_values_that_the_page_shows_make_deployments_of_their_groups():
    blocks = [yaml.safe_load(block) for block in code_blocks(read("docs/operations/kubernetes.md"), "yaml")]
    groups = [[group["name"] for group in block["workers"]] for block in blocks]
    assert groups == [["iris", "vision"], ["vision"]]
    for block in blocks:
        made = {one["metadata"]["name"] for one in find(render(VALKEY | block)[0], "Deployment")}
        names = {one.get("fullnameOverride", f"release-inferq-{one['name']}") for one in block["workers"]}
        assert made == names | {"release-inferq-proxy"}


def test_password_of_valkey_is_made_where_none_is_named_and_kept():
    [secret] = find(render_case("valkey"), "Secret")
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert find(render(VALKEY)[0], "Secret") != find(render(VALKEY)[0], "Secret")
    assert find(render_case("jobs"), "Secret") == []


def test_alerts_and_dashboard_of_the_chart_are_those_of_the_folder_for_compose():
    resources = render_case("production")
    [rules] = find(resources, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load(read("deploy/monitoring/alerts.yml"))
    [board] = [
        one for one in find(resources, "ConfigMap") if "grafana_dashboard" in one["metadata"]["labels"]
    ]
    assert json.loads(board["data"]["inferq.json"]) == json.loads(
        read("deploy/monitoring/grafana/dashboards/inferq.json")
    )


def test_prometheus_knows_proxies_and_workers_by_the_names_of_the_alerts():
    for kind, endpoints, job in (
        ("ServiceMonitor", "endpoints", "inferq"),
        ("PodMonitor", "podMetricsEndpoints", "inferq-workers"),
    ):
        [monitor] = find(render_case("production"), kind)
        [endpoint] = monitor["spec"][endpoints]
        assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": job}]
    assert 'up{job="inferq"}' in read("deploy/monitoring/alerts.yml")


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (5, 0), (2, 2), (4, 4)])
def test_test_of_the_chart_takes_a_job_that_is_done_at_once(tmp_path, code, expected):
    [container] = find(render_case("minimal"), "Pod")[0]["spec"]["containers"]
    script = tmp_path / "test_async.sh"
    script.write_text(f'[ "$1" = http://release-inferq-proxy:8000 ] && exit {code}\nexit 9\n')
    command = [part.replace("/test/test_async.sh", str(script)) for part in container["command"]]
    variables = {one["name"]: one["value"] for one in container["env"]}
    assert subprocess.run(command, env=variables | {"PATH": "/usr/bin:/bin"}).returncode == expected


def test_test_of_a_chart_with_simulated_seconds_is_the_script_alone():
    [pod] = find(render_case("valkey"), "Pod")
    assert pod["spec"]["containers"][0]["command"] == ["sh", "/test/test_async.sh", "$(BASE_URL)"]
    script = find(render_case("valkey"), "ConfigMap", pod["spec"]["volumes"][0]["configMap"]["name"])
    assert script["data"]["test_async.sh"] == read("test_async.sh")
