from copy import deepcopy

import pytest

from inferq.cli import shadow_report
from inferq.proxy.http.schemas.shadow_schemas import ShadowView

EXAMPLE = ShadowView.model_config["json_schema_extra"]["examples"][0]


@pytest.fixture
def show(monkeypatch, capsys):
    """Prints a report as the service would answer it, and returns the lines."""

    class Service:
        def __init__(self, report):
            self.report = report

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            return None

        def shadow(self, _name):
            return self.report

    def show(report):
        monkeypatch.setattr(shadow_report, "open_client", lambda _url: Service(report))
        shadow_report.shadow("iris")
        return capsys.readouterr().out.splitlines()

    return show


def test_candidate_is_shown_beside_the_version_that_serves(show):
    lines = show(EXAMPLE)
    assert lines[0] == "iris@3: 10% of the jobs, beside version 2"
    rows = {line.split("  ")[0]: line.split() for line in lines if line}
    assert rows["agreement"][-1] == "99.80%"
    assert rows["relative difference"][2:] == ["0.05,", "at", "most", "0.0001", "agrees"]
    assert rows["candidate"][1:] == ["2.1", "3.5", "4.2", "2.3", "3.2"]
    assert lines[-1].split()[-3:] == ["0.25", "0.05", "probabilities[2]"]


def test_candidate_of_which_nothing_is_known_yet_is_shown_too(show):
    report = deepcopy(EXAMPLE)
    [candidate] = report["candidates"]
    candidate |= {"since": None, "tolerance": None, "primary": None, "candidate": None, "agreement": None}
    candidate["latency"] = {side: dict.fromkeys(row) for side, row in candidate["latency"].items()}
    candidate["differing"] = [candidate["differing"][0] | {"difference": None, "error": "It failed."}] * 12
    lines = show(report)
    assert lines[0] == "iris@3: 10% of the jobs"
    assert "It failed." in lines[-2]
    assert lines[-1] == "2 more: --json"


def test_model_without_shadows_says_how_to_begin(show):
    [line] = show({"model": "iris", "candidates": []})
    assert "inferq models rollout iris --shadow VERSION=0.1" in line
