import json
import re
import shlex
import subprocess

from tests.e2e.processes import ROOT, is_healthy, wait_for_job
from tests.servers import free_port, wait_until


def test_curl_lines_of_the_readme_answer_as_printed(start, tmp_path):
    port = free_port()
    url = f"http://localhost:{port}"
    start("inferq", "up", "--port", port, "--data-dir", tmp_path)
    wait_until(lambda: is_healthy(url), 30, "the service")
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
            elif key not in ("job_id", "submitted_at", "started_at", "finished_at"):
                assert answer[key] == printed[key], key
