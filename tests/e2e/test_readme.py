import json
import os
import re
import shlex
import subprocess
import sys

from tests.e2e.processes import ROOT, is_healthy, submit, wait_for_job
from tests.servers import free_port, wait_until


def test_curl_lines_of_the_readme_answer_as_printed(start, tmp_path):
    port = free_port()
    url = f"http://localhost:{port}"
    start("inferq", "up", "--port", port, "--data-dir", tmp_path)
    wait_until(lambda: is_healthy(url), 60, "the service")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"```sh\n(curl .*)\n```\n\n```json\n(.*)\n```", text)
    assert len(lines) == 3
    job_id = None
    for line, printed in lines:
        command = shlex.split(line.replace("http://localhost:8000", url))
        printed = json.loads(printed)
        if "/job/" in command[1]:
            command[1] = f"{url}/job/{job_id}"
            wait_for_job(url, job_id)
        output = subprocess.run([*command, "-s"], capture_output=True, text=True, check=True).stdout
        answer = json.loads(output)
        job_id = answer.get("job_id", job_id)
        assert list(answer) == list(printed)
        for key in printed:
            if key == "history":
                assert [list(one) for one in answer[key]] == [list(one) for one in printed[key]]
            elif key not in ("job_id", "submitted_at", "started_at", "finished_at", "request_id"):
                assert answer[key] == printed[key], key


def test_readme_shows_how_to_go_without_polling_and_each_line_works(start, tmp_path):
    port = free_port()
    url = f"http://localhost:{port}"
    start("inferq", "up", "--port", port, "--data-dir", tmp_path)
    wait_until(lambda: is_healthy(url), 60, "the service")
    job_id = submit(url)
    wait_for_job(url, job_id)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    sections = re.search(r"## Without polling.*?(?=## When something fails)", text, re.DOTALL)[0]
    text = sections.replace("http://localhost:8000", url).replace("6f90dafdb89de6c7a83ac96080b618f8", job_id)
    commands = [
        line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]
    curls = [line for line in commands if line.startswith("curl ")]
    ours = [line for line in commands if line.startswith("uv run inferq ")]
    assert (len(curls), len(ours)) == (7, 6)
    for line in curls:
        command = [*shlex.split(line), "--silent", "--fail-with-body"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (line, done.stdout)
        assert "job_id" in done.stdout or "models" in done.stdout, line
    environment = os.environ | {"INFERQ_URL": url}
    for line in ours:
        command = [sys.executable, "-m", *shlex.split(line)[2:]]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout, line
    [program] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["setosa", "virginica", "0", "2"]


def test_picture_of_the_readme_is_read_by_curl_command_line_and_python(start, tmp_path):
    port = free_port()
    url = f"http://localhost:{port}"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"## A picture.*?(?=## See it run)", text, re.DOTALL)[0]
    [up, lines] = re.findall(r"```sh\n(.*?)\n```", section, re.DOTALL)
    [program] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    start(*shlex.split(up)[2:], "--port", port, "--data-dir", tmp_path)
    wait_until(lambda: is_healthy(url), 60, "the service")

    def run(*command):
        environment = os.environ | {"INFERQ_URL": url}
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    [curl, ours] = map(shlex.split, lines.replace("http://localhost:8000", url).splitlines())
    assert json.loads(run(*curl, "--silent"))["result"]["class_name"] == "7"
    assert ours[:3] == ["uv", "run", "inferq"]
    assert "7" in [line.split()[0] for line in run(sys.executable, "-m", *ours[2:]).splitlines()]
    assert run(sys.executable, "-c", program.replace("http://localhost:8000", url)) == "7\n"
