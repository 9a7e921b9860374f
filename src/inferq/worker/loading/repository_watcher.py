"""Watches the model repository: what changes there is loaded beside what serves, and takes over."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import structlog

from inferq.errors import InvalidModelError
from inferq.models.repository.repository import try_load
from inferq.models.repository.repository_scan import ModelFolder, RepositoryScan, scan_repository
from inferq.queue import AnyConsumer, Outage
from inferq.rollout import Rollout
from inferq.settings import Settings
from inferq.terminal import make_printable
from inferq.worker.loading.loaded_repository import LoadedRepository
from inferq.worker.loading.model_loader import ModelLoader
from inferq.worker.loading.released_memory import ReleasedMemory
from inferq.worker.periodic import Periodic
from inferq.worker.serving.queue_drain import QueueDrain
from inferq.worker.serving.served_models import ServedModels
from inferq.worker.serving.serving_plan import plan_serving, read_rollouts

_PAUSE_SECONDS = 2.0
"""Between two looks at what is drained, where the repository is not looked at."""

log = structlog.get_logger()


class RepositoryWatcher(Periodic):
    """Follows the repository and the rollouts; see `docs/guides/versions.md` for what is promised.

    A folder is read once it has not changed between two looks, so that a copy under way is not loaded. Where
    operators have ordered it, by a new generation of the repository, it is read at once.

    Args:
        settings: Where the repository is, and how often it is looked at.
        loader: Loads what is new.
        repository: What was loaded at the start.
        served: What is served; this part alone replaces it.
        consumer: The queue.
        outage: Where it is noted that Redis is away.
    """

    def __init__(
        self,
        settings: Settings,
        loader: ModelLoader,
        repository: LoadedRepository,
        served: ServedModels,
        consumer: AnyConsumer,
        outage: Outage,
    ) -> None:
        super().__init__("repository-watcher", settings.models_poll_seconds or _PAUSE_SECONDS, outage)
        self._settings = settings
        self._loader = loader
        self._repository = repository
        self._served = served
        self._consumer = consumer
        self._generation = served.table.generation
        self._orders: Mapping[str, Rollout] = {}  # of operators; they go before those of model.toml
        self._declared: dict[str, Rollout] = {}  # by model.toml, where it has not changed between two looks
        self._latest_declared: dict[str, Rollout] = {}
        self._rollout_problems: dict[str, str] = {}
        self._followed: object = None  # what the present table was made of
        self._announced: Mapping[str, bytes] = {}
        self._latest = RepositoryScan()
        self._latest_stamps: dict[str, str] = {}
        self._unreadable = ""
        self._missed: set[str] = set()  # what jobs wait for, as it cannot be loaded again
        self._drain = QueueDrain(consumer, served, settings.heartbeat_seconds)
        self._memory = ReleasedMemory()
        self.report_soon: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Makes known what is served at first.

        Raises:
            InvalidSettingError: This user may not do that.
            RedisUnavailableError: Redis is away.
        """
        self._orders = self._consumer.read_rollouts()
        self._read_declared(is_ordered=True)
        self._follow()
        self._announce()

    def note_generation(self, generation: int) -> None:
        """Notes of which generation the repository is. For the thread of the heartbeat."""
        if generation != self._served.table.generation:
            self._generation = generation
            self.run_soon()

    def load_anew(self, name: str) -> None:
        """Has a version loaded from what its folder holds now. For the thread that runs jobs.

        Args:
            name: What was unloaded while idle, and cannot be loaded again as it was.
        """
        self._missed.add(name)
        self.run_soon()

    def stop(self) -> None:
        """Stops the thread, and a load that is under way."""
        self._loader.given_up.set()
        super().stop()

    def run_once(self) -> bool:
        """Looks at the repository, and at what is drained."""
        generation = self._generation
        is_ordered = generation != self._served.table.generation
        if is_ordered:
            self._orders = self._consumer.read_rollouts()
        if is_ordered or self._missed or self._settings.models_poll_seconds:
            self._update(is_ordered=is_ordered)
        self._announce()
        before = self._served.table
        is_called = self._drain.run_once()
        if is_ordered:  # once it can be seen: who waits for the report reads the announcements then
            self._served.table = replace(self._served.table, generation=generation)
            self.report_soon()
        self._memory.note_replaced(before, self._served.table)
        self._memory.free()
        return is_ordered or is_called

    def _update(self, *, is_ordered: bool) -> None:
        """Loads what has changed, and forgets what has gone."""
        scan = self._scan()
        if scan is None:
            return
        repository, latest, stamps = self._repository, self._latest, self._latest_stamps
        chosen = self._loader.choice.apply(scan)
        wanted = [folder for folder in chosen.folders if not self._is_unloaded(folder)]
        self._latest, self._latest_stamps = chosen, {one.name: self._loader.make_stamp(one) for one in wanted}

        def is_settled(name: str) -> bool:
            """Whether a name was there at the last look as it is now."""
            stamp, reason = self._latest_stamps.get(name), chosen.skipped.get(name)
            return is_ordered or (stamp, reason) == (stamps.get(name), latest.skipped.get(name))

        known = {*repository.versions, *repository.left_out}
        for name in known - self._latest_stamps.keys() - chosen.skipped.keys():
            if is_settled(name):
                repository.forget(name)
                self._missed.discard(name)
        for name, reason in chosen.skipped.items():
            if is_settled(name):
                self._leave_out(name, reason)
        repository.note_folders(scan.folders)
        self._read_declared(is_ordered=is_ordered)
        self._follow()
        for folder in wanted:
            stamp = self._latest_stamps[folder.name]
            is_new = repository.stamps.get(folder.name) != stamp
            if (is_new or folder.name in self._missed) and is_settled(folder.name):
                self._load(folder, stamp)
                self._follow()

    def _read_declared(self, *, is_ordered: bool) -> None:
        """Reads what the files say of versions: one that is being written must not let another serve."""
        before = self._latest_declared
        latest, problems = read_rollouts(self._repository.folders, self._declared)
        for model, reason in problems.items():
            if self._rollout_problems.get(model) != reason:
                log.warning("rollout_not_read", model=model, reason=reason)
        self._latest_declared, self._rollout_problems = latest, problems
        settled = {one for one in {*latest, *before, *self._declared} if latest.get(one) == before.get(one)}
        for model in latest.keys() | self._declared.keys() if is_ordered else settled:
            if model in latest:
                self._declared[model] = latest[model]
            else:
                self._declared.pop(model, None)

    def _scan(self) -> RepositoryScan | None:
        """Returns what is in the repository; None where a volume is away: that takes no model along."""
        scan, reason = None, ""
        try:
            scan = scan_repository(self._settings.models_dir)
        except InvalidModelError as error:
            reason = make_printable(error.message)
        if reason and reason != self._unreadable:
            log.error("repository_not_read", reason=reason)
        self._unreadable = reason
        return scan

    def _load(self, folder: ModelFolder, stamp: str) -> None:
        load = partial(self._loader.load_beside, stamp=stamp)
        version, reason = try_load(load, folder, self._settings.models_dir)
        if self._loader.given_up.is_set() or self._loader.make_stamp(folder) != stamp:
            return  # it is not what was to be loaded; the next look sees it as changed
        self._repository.stamps[folder.name] = stamp
        self._missed.discard(folder.name)
        if version is None:
            self._leave_out(folder.name, reason)
            return
        log.info("model_loaded", model=folder.name, version=version.document.version)
        self._repository.versions[folder.name] = version
        self._repository.left_out.pop(folder.name, None)

    def _leave_out(self, name: str, reason: str) -> None:
        name, reason = make_printable(name), make_printable(reason)
        before = self._repository.versions.get(name)
        if before is not None and before.model.is_loaded:
            reason += " What was loaded before is served."
        else:  # it was unloaded while idle, and the files are not there any more of which it was made
            self._repository.versions.pop(name, None)
        if self._repository.left_out.get(name) != reason:
            log.error("model_left_out", model=name, reason=reason)
        self._repository.left_out[name] = reason

    def _is_unloaded(self, folder: ModelFolder) -> bool:
        order = self._orders.get(folder.model)
        return order is not None and order.is_unloaded

    def _follow(self) -> None:
        """Serves what is ready now, as the rollouts say."""
        repository = self._repository
        rollouts = {**self._declared, **self._orders}
        left_out = {**self._rollout_problems, **repository.left_out}
        basis = (dict(repository.versions), left_out, [*repository.folders], rollouts)
        if basis == self._followed:
            return
        self._followed = basis
        before, takes = self._served.table, self._loader.choice.takes
        elsewhere = {folder.name for folder in repository.folders if not takes(folder.name)}
        planned = plan_serving(repository.folders, elsewhere, repository.versions, left_out, rollouts, before)
        drained = self._drain.keep(planned, before)
        self._served.table = replace(planned, versions=drained, generation=before.generation)
        self._consumer.serve(self._served.table.name_provenances())
        self._memory.note_replaced(before, self._served.table)
        self.report_soon()

    def _announce(self) -> None:
        documents = self._served.table.documents
        if changed := {name: text for name, text in documents.items() if self._announced.get(name) != text}:
            self._consumer.announce(changed)
        self._announced = documents
