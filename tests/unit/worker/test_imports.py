import subprocess
import sys


def modules_after(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_worker_does_without_what_it_does_not_use():
    modules = modules_after("import inferq.worker.main")
    assert "structlog" in modules
    assert not {"rich", "rich.console", "httpcore", "httpx", "typer", "fastapi"} & set(modules)


def test_who_uses_rich_can_still_do_so():
    assert "rich.console" in modules_after("import inferq.worker.main, rich.console")
    assert "rich.console" in modules_after("import rich.console, inferq.worker.main")
