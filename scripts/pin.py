"""Writes the exact version of every package that uv has resolved into pyproject.toml.

`uv.lock` names the package registry of one machine, so it is not committed; the versions in it are.
They go into `[tool.uv] constraint-dependencies`, which `uv sync` obeys in a clone and in a container build.

    uv run scripts/pin.py            after a change of dependencies: keeps the pins, adds what is new
    uv run scripts/pin.py --upgrade  takes the newest versions that pyproject.toml allows
    uv run scripts/pin.py --check    exits 1 where a resolved version is not pinned
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^constraint-dependencies = \[.*?^\]", re.DOTALL | re.MULTILINE)


def with_pins(pyproject: str, pins: list[str]) -> str:
    """The text of pyproject.toml with these pins in the place of its own."""
    block = "\n".join(["constraint-dependencies = [", *(f'    "{pin}",' for pin in pins), "]"])
    return _BLOCK.sub(lambda _: block, pyproject, count=1)


def main(option: str = "") -> None:
    """Resolves, then writes or compares the pins."""
    file = _ROOT / "pyproject.toml"
    before = file.read_text()
    if option == "--upgrade":
        file.write_text(with_pins(before, []))
    subprocess.run(["uv", "lock", *(["--upgrade"] if option == "--upgrade" else [])], cwd=_ROOT, check=True)  # noqa: S603, S607
    packages = tomllib.loads((_ROOT / "uv.lock").read_text())["package"]
    pins = sorted(f"{one['name']}=={one['version']}" for one in packages if "registry" in one["source"])
    after = with_pins(before, pins)
    if option != "--check":
        file.write_text(after)
    elif after != before:
        sys.exit(
            "pyproject.toml does not pin every resolved version: run `uv run scripts/pin.py`, commit it."
        )


if __name__ == "__main__":
    main(*sys.argv[1:2])
