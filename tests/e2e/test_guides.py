"""Quick starts and guides of the site: each page's `sh` and `python` blocks run, in order, as one session.

Blocks that start services, or are for other programs (`bash`, `py`, `nginx` …), are left out.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT, Program, call, wait_until_healthy
from tests.servers import free_port, wait_until

DOCS = ROOT / "docs"
PAGES = sorted(
    str(page.relative_to(DOCS))
    for page in (*DOCS.glob("quickstart*.md"), *DOCS.glob("guides/*.md"), *DOCS.glob("operations/*.md"))
    if re.search(r"^```(?:sh|python)$", page.read_text(encoding="utf-8"), re.MULTILINE)
)
# what a page's session prints, beside ending well
PRINTED = {
    "quickstart.md": ["setosa", "virginica", "data[0] has 3 values"],
    "quickstart.ja.md": ["setosa", "virginica", "data[0] has 3 values"],
    "guides/own-model.md": ["can be served", '"outputs":{"y":[[2.0,3.0],[4.0,5.0]]}', '"unavailable":{}'],
    "guides/pictures.md": ['"class_name":"7"', '"source":"model.toml"', '"job_id":"picture-1"'],
    "guides/large-jobs.md": ["completed", "(20000, 3)"],
    "guides/batching.md": ["setosa", "virginica", '"job_ids"'],
    "guides/open-inference-protocol.md": ["[0 2]", ":0:setosa", "202 completed", "There is no model 'irsi'"],
    "guides/pictures-and-arrays.md": ["setosa", "[[0.9"],
    "guides/references.md": ['"class_name":"setosa"', '"outputs":[{"name":"label"', "'setosa'"],
    "guides/python-client.md": [
        *("[0, 2]", "completed", "['setosa', 'virginica']", "invalid-input"),
        *("ends: ", "workers needed: ", "would be tried again: 0"),
        "probabilities float32 (2, 3)",
    ],
    "operations/metrics.md": ["inferq_redis_up 1.0", 'http_route="/'],
    "guides/other-languages.md": ['"class_name":"virginica"', '"result":[1, 2, 3]'],
    "operations/doctor.md": ["redis-eviction", '"check":"workers","level":"ok"', "is healthy."],
    "operations/health.md": ['"status":"healthy"', '"status":"alive"', '"status":"ready"'],
}
SHELL = """
set -euo pipefail
curl() { command curl --silent --show-error --fail-with-body --max-time 30 "$@"; echo; }
redis-cli() { command redis-cli -u "$INFERQ_REDIS_URL" "$@"; }
uv() { shift; python -m "$@"; }
"""


def blocks(page, *languages):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```({'|'.join(languages)})\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service with the model of the guide beside iris, and webhooks on: its URL and that of its server."""
    folder = tmp_path_factory.mktemp("guides")
    [(_, program)] = blocks("guides/own-model.md", "python")
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    [(_, config), *_] = blocks("guides/own-model.md", "toml")
    (folder / "models/roots/model.toml").write_text(config)
    for version in ("1", "2", "3"):
        shutil.copytree(ROOT / "models/iris", folder / "models/iris" / version)
    shutil.copytree(ROOT / "docs/examples/digits", folder / "models/digits")
    port = free_port()
    program = Program(
        *("inferq", "up", "--port", port, "--data-dir", folder / "data", "--models", folder / "models"),
        webhook_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        webhook_private_addresses="true",
        input_allowed_hosts="127.0.0.1",
        input_private_addresses="true",
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_healthy(url)
        wait_until(lambda: "redis://" in program.output, 60, "the greeting")
        yield url, re.search(r"redis://\S+", program.output)[0]
    finally:
        program.end()


@pytest.mark.parametrize("page", PAGES)
def test_every_example_of_a_page_works_as_it_stands(page, service, tmp_path):
    url, redis_url = service
    script = SHELL
    for language, block in blocks(page, "sh", "python"):
        script += block if language == "sh" else f"python - <<'END_OF_BLOCK'\n{block}END_OF_BLOCK\n"
    if "redis-cli " in script.removeprefix(SHELL) and not shutil.which("redis-cli"):
        pytest.skip("redis-cli is not installed")
    port = free_port()
    script = script.replace("http://localhost:8000", url).replace("127.0.0.1:9000", f"127.0.0.1:{port}")
    script = script.replace("http.server 9000", f"http.server {port}")
    environment = os.environ | {
        "INFERQ_URL": url,
        "INFERQ_REDIS_URL": redis_url,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    (tmp_path / "docs").symlink_to(DOCS)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in PRINTED.get(page, []):
        assert words in done.stdout, done.stdout
    assert call("GET", f"{url}/health")[0] == 200


def test_blocks_that_are_not_run_are_shell_all_the_same():
    for page in (*DOCS.rglob("*.md"), ROOT / "CONTRIBUTING.md"):
        for _, block in blocks(page.relative_to(DOCS, walk_up=True), "bash"):
            subprocess.run(["bash", "-n", "-c", block], check=True)
