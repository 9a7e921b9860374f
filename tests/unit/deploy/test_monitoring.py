"""What deploy/monitoring holds together: dashboard, alert rules, their tests and their page."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from scripts import dashboard

from inferq.settings import Settings

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/monitoring"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian's package prometheus)"
)


def read_yaml(name):
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def read_alerts():
    return [rule for group in read_yaml("alerts.yml")["groups"] for rule in group["rules"]]


def read_queries():
    """The expressions of all panels."""
    panels = json.loads(dashboard.FILE.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def test_dashboard_is_what_its_script_makes_now():
    assert dashboard.FILE.read_text(encoding="utf-8") == dashboard.make_dashboard(), (
        "run `uv run scripts/dashboard.py`"
    )


def test_rows_of_the_dashboard_leave_no_gap_and_panels_have_ids_of_their_own():
    panels = json.loads(dashboard.make_dashboard())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    widths = {}
    for panel in panels:
        position = panel["gridPos"]
        widths[position["y"]] = widths.get(position["y"], 0) + position["w"]
    assert set(widths.values()) == {24}


@pytest.mark.parametrize("query", [*read_queries(), *(alert["expr"] for alert in read_alerts())])
def test_numbers_of_the_whole_service_are_never_added_up_over_proxies(query):
    of_a_process = "inferq_redis_up"
    metrics = [name for name in re.findall(r"\binferq_\w+", query) if name != of_a_process]
    taken_once = re.findall(
        r"\bmax(?: by \([\w, ]+\) )?\(\s*(?:(?:rate|increase|delta)\()?(inferq_\w+)", query
    )
    assert taken_once == metrics


def test_every_alert_says_what_is_wrong_what_to_do_and_how_soon():
    for alert in read_alerts():
        assert set(alert["annotations"]) == {"summary", "description"}, alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning"), alert["alert"]


def test_every_alert_has_a_unit_test_in_which_it_fires():
    tests = [check for one in read_yaml("alerts_test.yml")["tests"] for check in one["alert_rule_test"]]
    firing = {check["alertname"] for check in tests if check["exp_alerts"]}
    assert firing == {alert["alert"] for alert in read_alerts()}


def test_every_alert_is_in_the_table_of_its_page():
    page = (ROOT / "docs/operations/monitoring.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(Inferq\w+)` \| (\w+) \|", page, re.MULTILINE)
    assert listed == [(alert["alert"], alert["labels"]["severity"]) for alert in read_alerts()]


@pytest.mark.parametrize("name", ["alerts.yml", "prometheus.yml"])
def test_every_setting_that_a_file_names_exists(name):
    named = set(re.findall(r"\bINFERQ_[A-Z_]+[A-Z]\b", (FOLDER / name).read_text(encoding="utf-8")))
    assert named <= {f"INFERQ_{field.upper()}" for field in Settings.model_fields}


@needs_promtool
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
)
def test_promtool_finds_nothing_wrong(command):
    done = subprocess.run(["promtool", *command], cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_is_given_the_folders_that_its_files_name():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    [provider] = read_yaml("grafana/provisioning/dashboards/inferq.yml")["providers"]
    assert mounted["./deploy/monitoring/grafana/dashboards"] == provider["options"]["path"]
    assert (ROOT / "deploy/monitoring/grafana/dashboards" / dashboard.FILE.name) == dashboard.FILE
    [source] = read_yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"].split("/")[2].split(":")[0] in services
    assert source["jsonData"]["timeInterval"] == read_yaml("prometheus.yml")["global"]["scrape_interval"]
