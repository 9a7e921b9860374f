"""A model with versions, as a worker announces it."""

import threading
from datetime import UTC, datetime

from inferq.jobs import WorkerInfo
from inferq.queue.consumer.consumer import Consumer
from inferq.tensors.forms import MEDIA_TYPES


def make_documents(document, *versions, serving=None):
    """Documents of some versions of iris, each with as many features as its number, and of iris."""
    of_versions = {}
    for version in versions:
        tensor = document.inputs[0].model_copy(update={"shape": [-1, int(version)]})
        changed = {"version": version, "versions": list(versions), "inputs": [tensor], "example": None}
        of_versions[f"iris@{version}"] = document.model_copy(update=changed | {"feature_names": None})
    return {"iris": of_versions[f"iris@{serving or versions[-1]}"], **of_versions}


def beat(consumer, models, generation=None, **changes):
    """Reports a live worker of these models; returns what it learns."""
    info = WorkerInfo(
        *("worker-1", "here", 1, tuple(models), datetime.now(UTC)),
        repository_generation=generation,
        forms=MEDIA_TYPES,
        **changes,
    )
    return consumer.heartbeat(info, {}, 600.0)


class FollowingWorker:
    """A live worker of some versions of iris that follows rollouts, in a thread, as far as proxies see that.

    Args:
        settings: Where the server is.
        document: That of iris.
        client: By which it removes announcements.
        worker_id: Its id.

    Attributes:
        versions: Those in its repository.
        left_out: Those of them that it cannot load, and why.
        has_folders: Whether each version has a folder; else iris is as it was given.
        is_slow: Whether it does not follow.
    """

    def __init__(self, settings, document, client, *, worker_id="worker-1"):
        self.versions = ["1", "2", "3"]
        self.left_out = {}
        self.has_folders = True
        self.is_slow = False
        self.generation = 0
        self._document, self._client = document, client
        self._worker_id = worker_id
        self._consumer = Consumer(settings, worker_id, ["iris"])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._follow(0)
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _run(self):
        while not self._stopping.wait(0.02):
            generation = self._beat()
            if generation != self.generation and not self.is_slow:
                self._follow(generation)

    def _beat(self):
        info = WorkerInfo(
            *(self._worker_id, "here", 1, tuple(self.documents), datetime.now(UTC)),
            left_out=self.left_out,
            model_versions={name: one.version for name, one in self.documents.items()},
            repository_generation=self.generation,
            forms=MEDIA_TYPES,
        )
        return self._consumer.heartbeat(info, {}, 600.0)

    def _follow(self, generation):
        rollout = self._consumer.read_rollouts().get("iris")
        loaded = [one for one in self.versions if f"iris@{one}" not in self.left_out]
        serve = rollout and rollout.serve
        documents = make_documents(self._document, *loaded, serving=serve if serve in loaded else None)
        if not self.has_folders:
            documents = {"iris": self._document}
        if rollout and rollout.is_unloaded:
            documents = {}
        if "iris" in documents:
            documents["iris"] = documents["iris"].model_copy(update={"rollout": rollout})
        if gone := set(map(bytes.decode, self._client.hkeys("models"))) - documents.keys():
            self._client.hdel("models", *gone)
        if documents:
            self._consumer.announce({name: one.to_json() for name, one in documents.items()})
        self.documents, self.generation = documents, generation
