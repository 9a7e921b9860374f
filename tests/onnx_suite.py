"""ONNX's backend tests through the service: `uv run python -m tests.onnx_suite` prints the counts."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from inferq.errors import InferqError
from inferq.models.repository.model_folder import load_model
from tests.onnx_backend import ONE_THREAD, Case, list_cases
from tests.onnx_service_path import ServicePath

FORMS = ("JSON", "binary")
_MOST_PER_TYPE = 2
EXCEPTIONS: dict[tuple[str, str], str] = {}
"""Cases that ONNX Runtime runs by itself and that do not pass, each by its form and name, and why."""


@dataclass
class Outcomes:
    """How the cases end.

    Attributes:
        known: How many ONNX knows.
        problems: Why ONNX Runtime does not run the others by itself, and how many.
        run: Names of those that it runs.
        types: How many of these have an input or output of each type.
        passed: Names of those that give the same, by form.
        failed: What is different, by form and name.
        sample: For each type of an input or an output the first two cases, by a name for their model.
    """

    known: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    run: list[str] = field(default_factory=list)
    types: Counter[str] = field(default_factory=Counter)
    passed: dict[str, list[str]] = field(default_factory=lambda: {form: [] for form in FORMS})
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    sample: dict[str, Case] = field(default_factory=dict)

    def add(self, case: Case, folder: Path) -> None:
        """Runs a case; its model is written into the folder."""
        self.known += 1
        if not case.runs:
            self.problems[case.problem] += 1
            return
        self.run.append(case.name)
        if any(self.types[kind] < _MOST_PER_TYPE for kind in case.types):
            self.sample[f"case-{len(self.sample)}"] = case
        self.types.update(case.types)
        (folder / "model.onnx").write_bytes(case.model)
        try:
            path = ServicePath(load_model(folder, ONE_THREAD))
        except InferqError as error:
            self.failed |= {(form, case.name): f"not served: {error.message}" for form in FORMS}
            return
        for form in FORMS:
            difference = _find_difference(path, form, case)
            if difference is None:
                self.passed[form].append(case.name)
            else:
                self.failed[form, case.name] = difference

    def describe(self) -> str:
        """Returns the counts, a line each."""
        lines = [
            f"cases known to ONNX                        {self.known:5}",
            f"  run by ONNX Runtime itself               {len(self.run):5}",
            *(f"  {problem:40} {count:5}" for problem, count in self.problems.most_common()),
            f"equal as JSON                              {len(self.passed['JSON']):5}",
            f"equal over /v2 as bytes                    {len(self.passed['binary']):5}",
            f"exceptions                                 {len(self.failed):5}",
            *(
                f"  {form} {name}: {EXCEPTIONS.get((form, name), difference)}"
                for (form, name), difference in self.failed.items()
            ),
            "cases by type",
            *(f"  {kind:40} {count:5}" for kind, count in self.types.most_common()),
        ]
        return "\n".join(lines)


def run_suite(folder: Path) -> Outcomes:
    """Runs all cases.

    Args:
        folder: An empty folder for models.
    """
    outcomes = Outcomes()
    folder = folder / "case"
    folder.mkdir()
    (folder / "model.toml").write_text('non_finite = "string"')
    for case in list_cases():
        outcomes.add(case, folder)
    return outcomes


def _find_difference(path: ServicePath, form: str, case: Case) -> str | None:
    for inputs, expected in case.runs:
        try:
            difference = path.find_difference(form, inputs, expected)
        except Exception as error:  # noqa: BLE001 - shown with all others
            difference = f"{type(error).__name__}: {error}"
        if difference is not None:
            return difference
    return None


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        found = run_suite(Path(temporary))
    sys.stdout.write(found.describe() + "\n")
    sys.exit(found.failed.keys() != EXCEPTIONS.keys())
