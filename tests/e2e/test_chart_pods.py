"""The containers that the Helm chart makes, run as processes: environment, probes and stops fit the programs.

What a cluster adds, such as images, volumes and its network, is not in it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

from tests.e2e.processes import ROOT, call
from tests.servers import free_port, wait_until
from tests.unit.deploy.charts import find, read_pods, read_variables, render_case


class ContainerProcess:
    """A container of the chart as a process of this machine, with the command of its image."""

    def __init__(self, start, pod, redis_url):
        [self._container] = pod["spec"]["containers"]
        self.grace_seconds = pod["spec"]["terminationGracePeriodSeconds"]
        name = self._container["name"]
        image = (ROOT / f"Dockerfile.{name}").read_text(encoding="utf-8")
        command = json.loads(re.findall(r"^CMD (\[.*\])$", image, re.MULTILINE)[-1])
        self.port = free_port()
        [listens] = [port["containerPort"] for port in self._container.get("ports", [{"containerPort": 0}])]
        variables = read_variables(self._container) | {
            "INFERQ_REDIS_URL": redis_url,
            "INFERQ_MODEL_THREADS": "1",
        }
        self._environment = os.environ | variables
        settings = {key.removeprefix("INFERQ_").lower(): value for key, value in variables.items()}
        self.program = start(
            *(str(self.port) if part == str(listens) else part for part in command), **settings
        )

    def passes(self, probe):
        """Whether the kubelet would call a probe passed."""
        check = self._container[f"{probe}Probe"]
        if "httpGet" in check:
            return call("GET", f"http://127.0.0.1:{self.port}{check['httpGet']['path']}")[0] == 200
        python, *arguments = check["exec"]["command"]
        assert python == "python"
        done = subprocess.run([sys.executable, *arguments], env=self._environment, capture_output=True)
        return done.returncode == 0

    def stop(self):
        """Tells it to stop; returns its exit code, and whether it needed less time than it has."""
        began = time.monotonic()
        code = self.program.stop(signal.SIGTERM, timeout=60.0)
        return code, time.monotonic() - began < self.grace_seconds


def run_chart_test(url, tmp_path):
    """Runs what `helm test` would, and returns its exit code."""
    [pod] = find(render_case("minimal"), "Pod")
    [container] = pod["spec"]["containers"]
    command = [part.replace("/test/", f"{ROOT}/") for part in container["command"]]
    return subprocess.run(command, env=os.environ | {"BASE_URL": url}, cwd=tmp_path).returncode


def test_pods_live_while_redis_is_away_are_ready_once_it_is_back_and_stop_in_time(
    start, outside_server, tmp_path
):
    pods = read_pods(render_case("minimal"))
    proxy, worker = both = [
        ContainerProcess(start, pods[name], outside_server.url) for name in ("release-inferq-proxy", "worker")
    ]
    for one in both:
        for probe in ("startup", "readiness", "liveness"):
            wait_until(lambda one=one, probe=probe: one.passes(probe), 60, f"{probe} at the start")
    # it wants answers within a second, which a busy machine may miss
    url = f"http://127.0.0.1:{proxy.port}"
    wait_until(lambda: run_chart_test(url, tmp_path) == 0, 60, "helm test")

    outside_server.kill()
    for one in both:
        wait_until(lambda one=one: not one.passes("readiness"), 60, "the end of readiness")
        assert one.passes("liveness")

    outside_server.start()
    for one in both:
        wait_until(lambda one=one: one.passes("readiness"), 60, "readiness again")
    assert worker.stop() == (0, True)
    assert not worker.passes("readiness")
    assert not worker.passes("liveness")
    assert proxy.passes("liveness")
    assert proxy.stop() == (0, True)
