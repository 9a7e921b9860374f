"""In which form a client gets a result: by its `Accept`, from what is stored."""

import hashlib
from collections.abc import Collection, Sequence

from inferq.errors import InvalidInputError, NotAcceptableError, RedisUnavailableError
from inferq.job_json import is_json
from inferq.jobs import Job
from inferq.model_names import VERSION_MARK, get_model_name
from inferq.proxy.http.accept import rank_media_types
from inferq.proxy.http.inference_protocol import BINARY
from inferq.proxy.http.responses import JSON
from inferq.proxy.services.dependencies import Services
from inferq.proxy.services.process_pool import LONGEST_ON_LOOP_BYTES
from inferq.proxy.services.results.large_job_view import looks_like_json
from inferq.proxy.services.results.result_conversion import make_tensors
from inferq.proxy.services.results.result_rendition import Rendition, render_stored
from inferq.proxy.services.results.stored_result import StoredResult
from inferq.proxy.services.results.tensor_renditions import FORMS, TensorRenditions
from inferq.tensors.file_types import NPY, NPZ, detect_file_type
from inferq.tensors.result_tensors import ResultHead
from inferq.tensors.signature import Tensor

MOST_CONVERTED_BYTES = 8 * 1024 * 1024
"""Of a result in JSON that can be read as tensors: it is parsed at once, in another process."""
_ALIASES = {
    "application/npy": NPY.media_type,
    "application/npz": NPZ.media_type,
    "application/zip": NPZ.media_type,
    "application/x-zip-compressed": NPZ.media_type,
}


class ResultNegotiation:
    """Finds the form of the result of one job.

    Args:
        services: What endpoints share.
        job: The job, which has a result.
    """

    def __init__(self, services: Services, job: Job) -> None:
        self._services, self._job = services, job
        self._stored = StoredResult.open(services.producer.large_results, job)

    async def choose(self, accept: str, names: Sequence[str]) -> Rendition:
        """Returns the result in the form that a client prefers.

        Args:
            accept: The request's header; empty if there is none.
            names: Outputs that are asked for; none for all.

        Raises:
            NotAcceptableError: There is none that it accepts; the message says which there are.
            OverloadedError: A result in JSON is to be converted, and too much is under way.
            InvalidInputError: An output that it asks for is none.
            JobNotFoundError: The result has gone since the job was read.
            RedisUnavailableError: Redis does not answer in time.
        """
        try:
            head = await self._stored.read_head()
        except InvalidInputError:  # it begins like an envelope, and is none
            return await self._render_foreign(accept)
        if head is None and not await self._is_json():
            return await self._render_foreign(accept)
        refusals = []
        for media_type in _rank(accept, FORMS):
            try:
                return await self._render(media_type, head, names)
            except NotAcceptableError as error:
                refusals.append(error)
        raise refusals[0]

    async def make_etag(self, rendition: Rendition, names: Sequence[str]) -> str:
        """Returns what tells a representation from all others of the same path.

        It is weak for a large result that another program has stored: of such only the beginning is known.
        """
        large = self._job.large_result
        first = await self._stored.read_first()
        about = [rendition.media_type, *names, str(self._stored.length), large.end.decode() if large else ""]
        digest = hashlib.sha256("\0".join(about).encode("utf-8", "surrogateescape") + first).hexdigest()[:32]
        is_weak = large is not None and not self._job.is_form_known
        return f'W/"{digest}"' if is_weak else f'"{digest}"'

    async def _render(self, media_type: str, head: ResultHead | None, names: Sequence[str]) -> Rendition:
        stored = self._stored
        if head is None:
            if media_type == JSON and not names:
                return render_stored(stored, JSON, ".json")
            stored, head = await self._convert(() if media_type == JSON else names or None)
        pool = self._services.process_pool
        rendition = await TensorRenditions(stored, head, self._job, pool, names).render(media_type)
        self._stored = stored
        return rendition

    async def _is_json(self) -> bool:
        if self._job.large_result is None:
            return is_json(self._job.result or b"")
        return self._job.is_form_known or await looks_like_json(self._stored)

    async def _render_foreign(self, accept: str) -> Rendition:
        """Renders what another program has stored, as it is."""
        file_type = detect_file_type(await self._stored.read_first())
        media_type, suffix = (file_type.media_type, file_type.suffix) if file_type else (BINARY, ".bin")
        offers = dict.fromkeys((media_type, BINARY))
        return render_stored(self._stored, _rank(accept, list(offers))[0], suffix)

    async def _convert(self, exact: Collection[str] | None) -> tuple[StoredResult, ResultHead]:
        """Returns a result in JSON as one of tensors; for `exact` see `read_listed_result`."""
        if self._stored.length > MOST_CONVERTED_BYTES:
            raise NotAcceptableError(
                f"The result is {self._stored.length:,} bytes of JSON, and only up to "
                f"{MOST_CONVERTED_BYTES:,} can be had in other forms. Ask for {JSON}; send data as arrays to "
                "get arrays."
            )
        outputs = await self._find_outputs()
        if self._stored.length > LONGEST_ON_LOOP_BYTES:
            with self._services.body_budget.open_share() as share:
                share.take(self._stored.length)
                whole = await self._stored.read()
                envelope = await self._services.process_pool.call(make_tensors, whole, outputs, exact)
        else:
            envelope = make_tensors(await self._stored.read(), outputs, exact)
        stored = StoredResult.hold(envelope)
        head = await stored.read_head()
        assert head is not None  # noqa: S101 - it was written as one
        return stored, head

    async def _find_outputs(self) -> dict[str, Tensor]:
        """Returns the outputs by name, where the model of the job is known in the same version."""
        try:
            announced = await self._services.catalog.read_announced()
        except RedisUnavailableError:
            return {}
        name, version = get_model_name(self._job.model or ""), self._job.model_version
        for one in (name, f"{name}{VERSION_MARK}{version}"):
            model = announced.get(one)
            if model is not None and model.document.version == version:
                return {tensor.name: tensor for tensor in model.document.outputs}
        return {}


def _rank(accept: str, offers: Sequence[str]) -> list[str]:
    ranked = rank_media_types(accept, offers, _ALIASES)
    if not ranked:
        raise NotAcceptableError(
            f"The result can be had as {', '.join(offers)}, none of which Accept: {accept[:200]} names."
        )
    return ranked
