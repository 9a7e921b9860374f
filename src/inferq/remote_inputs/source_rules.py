"""Which files data may name: a client must not reach through workers what it cannot reach itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from inferq.blobs import belongs_to_key
from inferq.egress.bucket_policy import BucketPolicy
from inferq.egress.url_policy import UrlPolicy
from inferq.errors import InvalidInputError
from inferq.settings import Settings
from inferq.tensors.values import RemoteFile

MOST_FILES = 64
"""Most files that one job may name."""
_HTTP = ("http", "https")
_SCHEMES = "https://, http://, s3://, upload: or data:"
UPLOAD = "upload:"
"""How the URL of an upload begins; its id follows."""


@dataclass(frozen=True, slots=True)
class SourceRules:
    """Which files may be named, for the proxy that accepts a job and for the worker that runs it.

    Attributes:
        http: Which URLs may be fetched; None: none.
        buckets: Which objects may be read.
        has_uploads: Whether there is a blob store, in which uploads lie.
    """

    http: UrlPolicy | None
    buckets: BucketPolicy
    has_uploads: bool

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Returns the rules that the settings state."""
        http, buckets = UrlPolicy.for_inputs(settings), BucketPolicy.for_inputs(settings)
        return cls(http, buckets, bool(settings.blob_store))

    def check(self, remote_files: Sequence[RemoteFile], owner: str | None = None) -> None:
        """Checks the files that a job names. Which addresses their hosts have the worker sees.

        Args:
            remote_files: The files.
            owner: Name of the API key that the job will belong to, empty for none; None where the proxy has
                checked whose uploads they are.

        Raises:
            InvalidInputError: One may not be named; the message says where it stands, and why.
        """
        if len(remote_files) > MOST_FILES:
            raise InvalidInputError(
                f"data names {len(remote_files)} files by URLs; one job may name at most {MOST_FILES}."
            )
        for remote in remote_files:
            try:
                self._check_url(remote.url, owner)
            except InvalidInputError as error:
                raise InvalidInputError(f"{remote.where}: {error.message}") from error

    def _check_url(self, url: str, owner: str | None) -> None:
        scheme = url.partition(":")[0].lower()
        if url.startswith(UPLOAD):
            self._check_upload(url.removeprefix(UPLOAD), owner)
            return
        if scheme == "s3":
            self.buckets.check(url)
            if url.endswith("/"):
                raise InvalidInputError("url names a folder; name an object in it, as s3://bucket/key.")
            return
        if scheme not in _HTTP:
            raise InvalidInputError(f"url must begin with {_SCHEMES}.")
        if self.http is None:
            raise InvalidInputError(
                "This service fetches no inputs: INFERQ_INPUT_ALLOWED_HOSTS names no hosts. Send the data "
                "itself, or ask the operator."
            )
        self.http.check(url)

    def _check_upload(self, upload_id: str, owner: str | None) -> None:
        if not self.has_uploads:
            raise InvalidInputError("This service has no uploads: it has no blob store (INFERQ_BLOB_STORE).")
        if owner is not None and not belongs_to_key(upload_id, owner):
            raise InvalidInputError("url names no upload of yours. POST /uploads makes one.")
