"""The chart's resources for KEDA and the Prometheus operator are those that both know."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.deploy.charts import CASES, render_case

KINDS = {"ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PodMonitor", "PrometheusRule"}


@pytest.mark.foreign
def test_resources_are_what_keda_and_the_prometheus_operator_take():
    resources = [one for case in CASES for one in render_case(case) if one["kind"] in KINDS]
    assert {one["kind"] for one in resources} == KINDS
    # the last releases for Python 3.13; cloudcoil brings a plugin of pytest along, so they are in no group
    packages = ["cloudcoil-models-keda==2.16.1.0", "cloudcoil-models-prometheus-operator==0.80.1.0"]
    uv = ["uv", "run", "--isolated", "--no-project", "--no-config"]
    options = [option for package in packages for option in ("--with", package)]
    script = Path(__file__).with_name("custom_resources.py")
    command = [*uv, *options, "--python", sys.executable, str(script)]
    subprocess.run(command, input=json.dumps(resources), text=True, check=True, timeout=600)
