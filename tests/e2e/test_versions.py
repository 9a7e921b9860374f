"""Two versions of a model, from a check to a rollback, by the commands that the README shows."""

import os
import re
import shlex
import shutil
import subprocess
import sys

from tests.e2e.processes import ROOT, call, is_healthy
from tests.servers import free_port, wait_until


def test_commands_of_the_readme_roll_a_version_out_and_back(start, tmp_path):
    port = free_port()
    url = f"http://localhost:{port}"
    shutil.copytree(ROOT / "models/iris", tmp_path / "models/iris/1")
    start("inferq", "up", "--port", port, "--data-dir", tmp_path / "data", cwd=tmp_path)
    wait_until(lambda: is_healthy(url), 60, "the service")
    shutil.copytree(ROOT / "models/iris", tmp_path / "models/iris/.2")
    (tmp_path / "models/iris/.2").rename(tmp_path / "models/iris/2")

    def run(line):
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(line)[2:]],
            cwd=tmp_path,
            env=os.environ | {"INFERQ_URL": url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"## A new version\n.*?(?=\n## )", text, re.DOTALL)[0]
    check, reload, promote_old, rollout, shadow, promote, rollback = re.search(
        r"```sh\n(.*?)\n```", section, re.DOTALL
    )[1].splitlines()

    assert "iris@2: can be served" in run(check)
    assert "1, 2" in run(reload)
    shutil.copytree(tmp_path / "models/iris/1", tmp_path / "models/new")
    assert run(f"{reload} new").splitlines()[1].split()[0] == "new"
    assert "version 1 serves" in run(promote_old)
    assert "50% of its jobs run on version 2 too" in run(rollout)
    for _ in range(20):
        assert call("POST", f"{url}/predict/test?model=iris")[0] == 202
    assert "iris@2: 50% of the jobs" in run(shadow)
    wait_until(lambda: "100.00%" in run(shadow), 60, "a comparison")
    assert "version 2 serves" in run(promote)
    assert "version 1 serves" in run(rollback)
