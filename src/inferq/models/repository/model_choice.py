"""Which models of the repository a worker serves: the setting `INFERQ_MODELS`."""

from inferq.model_names import QueueName
from inferq.models.repository.repository_scan import ModelFolder, RepositoryScan


class ModelChoice:
    """Chooses models and versions by their names.

    Args:
        text: Names with commas between: `iris` (all its versions) or `iris@2`; behind a `!`, one that is not
            to be served. Where all have it, or there are none, all other models are served.
    """

    def __init__(self, text: str) -> None:
        names = [part for part in (part.strip() for part in text.split(",")) if part]
        self._refused = {name[1:].strip() for name in names if name.startswith("!")}
        self._wanted = {name for name in names if not name.startswith("!")}

    def takes(self, name: str) -> bool:
        """Whether a model or a version of one is served; `iris` also stands for any of its versions."""
        found = QueueName.parse(name)
        both = {name, found.model} if found else {name}
        return not both & self._refused and (not self._wanted or bool(both & self._wanted))

    def apply(self, scan: RepositoryScan) -> RepositoryScan:
        """Returns what is to be served of a repository."""
        return RepositoryScan(
            [folder for folder in scan.folders if self.takes(folder.name)],
            {name: reason for name, reason in scan.skipped.items() if self.takes(name)},
            scan.other_folders,
        )

    def find_absent(self, folders: list[ModelFolder]) -> list[str]:
        """Returns the names that stand for nothing in the repository."""
        there = {folder.name for folder in folders} | {folder.model for folder in folders}
        return sorted((self._wanted | self._refused) - there)
