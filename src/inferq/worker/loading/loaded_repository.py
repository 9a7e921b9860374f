"""What a worker has made of the model repository."""

from dataclasses import dataclass, field

from inferq.model_names import order_version
from inferq.models.repository.repository_scan import ModelFolder
from inferq.worker.serving.served_models import ServedVersion


@dataclass(slots=True)
class LoadedRepository:
    """The state of the repository, as far as a worker has read it.

    Attributes:
        folders: All folders of models, also of those that it is not to serve.
        versions: Name to version of what is ready: `iris`, or `iris@2` where there are folders of versions.
        left_out: Name to reason of what cannot be served, or not as it is now.
        stamps: Name to the stamp of the files that were read, of both.
    """

    folders: list[ModelFolder] = field(default_factory=list)
    versions: dict[str, ServedVersion] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, str] = field(default_factory=dict)

    def note_folders(self, folders: list[ModelFolder]) -> None:
        """Notes the folders that are there now; those stay that have lost their file, but are served."""
        there = {folder.name for folder in folders}
        kept = [one for one in self.folders if one.name in self.versions and one.name not in there]
        self.folders = sorted([*folders, *kept], key=lambda one: (one.model, order_version(one.version)))

    def forget(self, name: str) -> None:
        """Forgets what has gone."""
        for known in (self.versions, self.left_out, self.stamps):
            known.pop(name, None)
