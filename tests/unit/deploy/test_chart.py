"""What the Helm chart makes, whatever its values."""

import helm_python
import kubernetes_validate
import pytest

from tests.unit.deploy.charts import (
    CASES,
    CHART,
    NAMESPACE,
    ROOT,
    find,
    read_containers,
    read_pods,
    read_values,
    read_variables,
    render,
    render_case,
    selects,
)

CUSTOM = ("keda.sh/", "monitoring.coreos.com/")
every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_helm_finds_nothing_wrong(case):
    report = helm_python.lint(CHART, read_values(case), strict=True)
    assert report["errors"] == []
    assert [one["error"] for one in report["messages"]] == ["icon is recommended"]


@every_case
@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_resources_are_what_kubernetes_takes(case, version):
    for one in render_case(case):
        uses_image_volume = "'image': {'reference'" in str(one)
        if not one["apiVersion"].startswith(CUSTOM) and not (uses_image_volume and version == "1.30"):
            kubernetes_validate.validate(one, version, strict=True)


@every_case
def test_resources_have_names_of_their_own_the_namespace_and_the_usual_labels(case):
    resources = render_case(case)
    names = [(one["kind"], one["metadata"]["name"]) for one in resources]
    assert len(names) == len(set(names))
    for one in resources:
        metadata = one["metadata"]
        assert metadata["namespace"] == NAMESPACE
        assert len(metadata["name"]) <= 63
        labels = metadata["labels"]
        assert {"name", "instance", "component", "part-of", "version", "managed-by"} == {
            label.partition("/")[2] for label in labels if label.startswith("app.kubernetes.io/")
        }
        assert labels["helm.sh/chart"] == "inferq-0.1.0"


def test_longest_names_of_release_and_group_still_fit():
    values = {"valkey": {"enabled": True}, "workers": [{"name": "g" * 20}]}
    for one in render(values, "r" * 53)[0]:
        assert len(one["metadata"]["name"]) <= 63
        assert one["kind"] != "StatefulSet" or len(one["metadata"]["name"]) <= 52  # and a hash as label


@every_case
def test_containers_have_the_rights_that_they_need_and_no_more(case):
    for container in read_containers(render_case(case)):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"]
    for pod in read_pods(render_case(case)).values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["runAsUser"] > 0
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_users_and_rights_are_those_of_the_images_and_of_compose():
    for name in ("proxy", "worker"):
        assert "\nUSER 10001:10001\n" in (ROOT / f"Dockerfile.{name}").read_text(encoding="utf-8")
    pod = read_pods(render_case("minimal"))["worker"]["spec"]["securityContext"]
    assert (pod["runAsUser"], pod["runAsGroup"]) == (10001, 10001)


@every_case
def test_volumes_that_are_mounted_exist_and_those_that_exist_are_mounted(case):
    for pod in read_pods(render_case(case)).values():
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
        mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
        claims = {"data"} if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "valkey" else set()
        assert volumes <= mounted <= volumes | claims
        assert {"/tmp"} <= {mount["mountPath"] for one in containers for mount in one["volumeMounts"]} or (
            pod["metadata"]["labels"]["app.kubernetes.io/component"] == "test"
        )


@every_case
def test_probes_services_and_policies_name_ports_that_exist(case):
    resources = render_case(case)
    pods = list(read_pods(resources).values())

    def ports_of(selector):
        chosen = [pod for pod in pods if selects(selector, pod["metadata"]["labels"])]
        assert chosen
        return {
            port["name"]
            for pod in chosen
            for one in pod["spec"]["containers"]
            for port in one.get("ports", ())
        }

    for container in read_containers(resources):
        own = {port["name"] for port in container.get("ports", ())}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            check = container.get(probe, {})
            asked = check.get("httpGet", check.get("tcpSocket", {}))
            assert {asked["port"]} <= own if asked else True
    for service in find(resources, "Service"):
        ports = ports_of({"matchLabels": service["spec"]["selector"]})
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for policy in find(resources, "NetworkPolicy"):
        ports = ports_of(policy["spec"]["podSelector"])
        for rule in policy["spec"]["ingress"]:
            assert {port["port"] for port in rule["ports"]} <= ports
    for kind, endpoints in (("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")):
        for monitor in find(resources, kind):
            ports = ports_of(monitor["spec"]["selector"])
            assert {one["port"] for one in monitor["spec"][endpoints]} <= ports


@every_case
def test_selectors_find_the_pods_of_their_own_controller_alone(case):
    resources = render_case(case)
    pods = read_pods(resources)
    for one in (*find(resources, "Deployment"), *find(resources, "StatefulSet")):
        found = [
            name for name, pod in pods.items() if selects(one["spec"]["selector"], pod["metadata"]["labels"])
        ]
        assert found == [one["metadata"]["name"]]
    for budget in find(resources, "PodDisruptionBudget"):
        found = [
            name
            for name, pod in pods.items()
            if selects(budget["spec"]["selector"], pod["metadata"]["labels"])
        ]
        assert found == [budget["metadata"]["name"]]
    for one in (*find(resources, "HorizontalPodAutoscaler"), *find(resources, "ScaledObject")):
        target = find(resources, "Deployment", one["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in target["spec"]
    for pod in pods.values():
        for spread in pod["spec"].get("topologySpreadConstraints", ()):
            assert selects(spread["labelSelector"], pod["metadata"]["labels"])


def test_proxies_live_whatever_redis_does_and_are_ready_only_with_it():
    [proxy] = read_pods(render_case("minimal"))["release-inferq-proxy"]["spec"]["containers"]
    assert proxy["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert proxy["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    [worker] = read_pods(render_case("minimal"))["worker"]["spec"]["containers"]
    assert worker["livenessProbe"]["exec"]["command"] == [
        "python",
        "-m",
        "inferq.worker.healthcheck",
        "--live",
    ]
    check = ["python", "-m", "inferq.worker.healthcheck"]
    assert worker["readinessProbe"]["exec"]["command"] == worker["startupProbe"]["exec"]["command"] == check
    assert f'CMD ["{'", "'.join(check)}"]' in (ROOT / "Dockerfile.worker").read_text(encoding="utf-8")


@every_case
def test_pods_have_longer_to_stop_than_their_programs_take(case):
    for one in find(render_case(case), "Deployment"):
        spec = one["spec"]["template"]["spec"]
        [container] = spec["containers"]
        if container["name"] == "proxy":
            needed = container["lifecycle"]["preStop"]["sleep"]["seconds"] + 8.25  # of proxy/server.py
        else:
            needed = float(read_variables(container)["INFERQ_SHUTDOWN_SECONDS"]) + 10
        assert spec["terminationGracePeriodSeconds"] >= needed
