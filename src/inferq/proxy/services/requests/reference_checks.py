"""Checks what a request names outside: files for its data, and where its result is to be written."""

from inferq.proxy.http.bodies.predict_body import PredictBody
from inferq.proxy.services.models.known_models import KnownModels
from inferq.proxy.services.requests.request_rules import RequestRules
from inferq.tensors.forms import REMOTE_FILES
from inferq.tensors.values import RemoteFile


def check_remote_files(
    remote_files: list[RemoteFile], queue: str, rules: RequestRules, models: KnownModels, owner: str
) -> None:
    """Checks the files that a job names by URLs.

    Args:
        remote_files: The files.
        queue: Name of the queue that the job goes to.
        rules: Which may be named.
        models: What is known of the models.
        owner: Name of the API key that the job will belong to; empty for none.

    Raises:
        InvalidInputError: One may not be named.
        ModelUnavailableError: A worker that serves the model does not fetch files.
    """
    if remote_files:
        rules.source_rules.check(remote_files, owner)
        models.check_reads(queue, REMOTE_FILES)


def check_output(body: PredictBody, queue: str, models: KnownModels) -> None:
    """Checks that workers write the result where a request asks for it.

    Raises:
        ModelUnavailableError: A worker that serves the model does not.
    """
    if body.output is not None:
        models.check_reads(queue, REMOTE_FILES)  # of the same version
