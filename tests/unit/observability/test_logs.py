import subprocess
import sys

CODE = """
import structlog
from inferq.observability.logs import configure_logging
from inferq.settings import Settings
configure_logging(Settings(log_format={form!r}))
structlog.get_logger().warning("odd_name", model="a\\x1b[2J\\x9b31m\\u202e花", count=2)
"""


def logged(form):
    code = CODE.format(form=form)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr.decode()


def test_control_characters_of_others_never_reach_a_console():
    for form in ("console", "json"):
        line = logged(form)
        assert "odd_name" in line
        assert line.rstrip("\n").isprintable()
    assert "花" in logged("console")


FAILURE = """
import structlog
from inferq.observability.logs import configure_logging
from inferq.settings import Settings
configure_logging(Settings(log_format={form!r}))
try:
    int("secret")
except ValueError:
    structlog.get_logger().exception("run_failed")
"""


def test_error_is_told_by_line_and_type_without_its_words():
    for form in ("console", "json"):
        code = FAILURE.format(form=form)
        line = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr.decode()
        assert "run_failed" in line
        assert 'File "<string>", line 7' in line.replace("\\", "")
        assert "ValueError" in line
        assert "invalid literal" not in line
