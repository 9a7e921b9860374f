"""One large job that is run as chunks: which of them are made, done, and still to be awaited."""

from collections.abc import Iterator

from inferq.errors import ChunkFailedError, ErrorKind, JobNotFoundError
from inferq.jobs import Job, Status
from inferq.models.results.chunk_result import ChunkHead, read_chunk_head
from inferq.models.results.joined_result import ChunkPiece, Piece, plan_result
from inferq.provenance import Provenance
from inferq.queue import ChunkPlan, ChunkResult, Consumer
from inferq.tensors.envelope import HEAD_START, read_lengths
from inferq.worker.large_jobs.large_job import LargeJob, NotDivisibleError
from inferq.worker.runs.run_errors import make_timeout_error

_STATES_AT_ONCE = 500
_MOST_FOREIGN = 3
"""So often a chunk is run again that another file of the same version has run; then the job fails."""


class SplitRun:
    """Makes chunks a few ahead, and notes which are done. The next one of the same job finds what is done.

    Args:
        consumer: The queue, or the shard that the job is in.
        job: The large job, as the queue knows it.
        large: The same, decoded.
        plan: How it is divided.
        stored: The same, as it is noted in Redis.
    """

    def __init__(self, consumer: Consumer, job: Job, large: LargeJob, plan: ChunkPlan, stored: bytes) -> None:
        self._chunks = consumer.chunks
        self._removal = consumer.chunk_removal
        self._stored = stored
        self._results = consumer.joined_results
        self._job = job
        self._large = large
        self._plan = plan
        self._expected = Provenance.parse(plan.made_by)[:2]
        self._missing = list(range(plan.chunks - 1, -1, -1))  # the next one last
        self._awaited: set[int] = set()
        self._heads: dict[int, ChunkHead] = {}
        self._opened: dict[int, ChunkResult] = {}
        self._foreign = 0

    @property
    def chunks(self) -> int:
        """Into how many chunks the job is divided."""
        return self._plan.chunks

    @property
    def is_complete(self) -> bool:
        """Whether all chunks are done."""
        return not self.left_chunks

    @property
    def done_rows(self) -> int:
        """How many rows the chunks have that are done."""
        return sum(last - first for first, last in map(self._plan.find_rows, self._heads))

    @property
    def left_chunks(self) -> int:
        """How many chunks are not done."""
        return self._plan.chunks - len(self._heads)

    def find_done(self) -> None:
        """Notes what is there of all chunks.

        Raises:
            NotDivisibleError: What a chunk gave cannot be part of the result.
            ChunkFailedError: One has failed for good.
            TimedOutError: The time of the job is up.
            RedisUnavailableError: Redis is away.
        """
        self._awaited.update(self._missing)
        self._missing.clear()
        self.check()

    def submit_ahead(self, most: int, timeout_seconds: float) -> None:
        """Makes chunks until so many are to be awaited, or all are made.

        Args:
            most: How many.
            timeout_seconds: Longest run of each.

        Raises:
            QueueFullError: Redis has no memory for them.
            RedisUnavailableError: Redis is away. May be called again.
        """
        while self._missing and len(self._awaited) < most:
            index = self._missing[-1]
            data = self._large.served.model.write_chunk(self._large.decoded, *self._plan.find_rows(index))
            self._chunks.submit(self._job, self._plan, {index: data}, timeout_seconds)
            self._awaited.add(self._missing.pop())

    def check(self) -> None:
        """Notes which of the awaited chunks have ended.

        Those that are gone, or were run on another version of the model, are made again.

        Raises:
            NotDivisibleError: What one gave cannot be part of the result.
            ChunkFailedError: One has failed for good, or too many came from other versions of the model.
            TimedOutError: The time of the job is up.
            RedisUnavailableError: Redis is away. May be called again.
            StoreUnavailableError: Results lie in a store that this process cannot use.
        """
        awaited = sorted(self._awaited)
        for start in range(0, len(awaited), _STATES_AT_ONCE):
            some = awaited[start : start + _STATES_AT_ONCE]
            chunks = self._chunks.read_states(self._job.id, self._plan, some)
            for index, chunk in zip(some, chunks, strict=True):
                if chunk is None:
                    self._make_again(index)
                elif chunk.error_kind is ErrorKind.CANCELLED:
                    self._remove(index)
                elif chunk.error_kind is ErrorKind.TIMED_OUT:  # it had what was left of the job's time
                    raise make_timeout_error(self._large.timeout_seconds)
                elif chunk.status is Status.FAILED:
                    first, last = self._plan.find_rows(index)
                    kind = chunk.error_kind or ErrorKind.MODEL_ERROR
                    raise ChunkFailedError(f"Rows {first:,} to {last - 1:,}: {chunk.error or ''}", kind)
                elif chunk.status is Status.COMPLETED:
                    if chunk.made_by and chunk.made_by[:2] == self._expected:
                        self._note_done(index)
                    else:
                        self._note_foreign(index, str(chunk.made_by or ""))
        self._missing.sort(reverse=True)

    def plan_result(self) -> list[Piece]:
        """Returns what the result of the job is made of.

        Raises:
            NotDivisibleError: It cannot be made of those of its chunks.
        """
        heads = [self._heads[index] for index in range(self._plan.chunks)]
        pieces = plan_result(heads, is_json=self._large.decoded.is_json)
        if isinstance(pieces, str):
            raise NotDivisibleError(pieces)
        return pieces

    def write_result(self, pieces: list[Piece], size: int) -> tuple[bytes, bool] | None:
        """Writes the result; see `JoinedResults.write`. None where that of a chunk is gone: it is made again.

        Raises:
            RedisUnavailableError: Redis is away. May be called again.
        """
        try:
            return self._results.write(self._large.claimed, size, lambda: self._read_pieces(pieces))
        except JobNotFoundError:
            self._awaited.update(self._heads)
            self._heads.clear()
            self._opened.clear()
            return None

    def _read_pieces(self, pieces: list[Piece]) -> Iterator[bytes]:
        for piece in pieces:
            if isinstance(piece, ChunkPiece):
                yield from self._opened[piece.chunk].read_pieces(piece.first, piece.length)
            else:
                yield piece

    def _note_done(self, index: int) -> None:
        chunk_id = self._plan.name_chunk(self._job.id, index)
        result = self._results.open_chunk(chunk_id)
        try:
            self._chunks.keep(chunk_id)
            end, _ = read_lengths(result.read(0, HEAD_START))
            head = read_chunk_head(result.read(0, end))
        except JobNotFoundError:
            self._make_again(index)
        else:
            if head.obstacle:  # no need to wait for the others
                raise NotDivisibleError(head.obstacle)
            self._heads[index] = head
            self._opened[index] = result
            self._awaited.discard(index)

    def _note_foreign(self, index: int, made_by: str) -> None:
        """Has a chunk made again that another version of the model has run."""
        self._foreign += 1
        if self._foreign > _MOST_FOREIGN:
            raise ChunkFailedError(
                f"Workers ran chunks of this job on another version of the model ({made_by or 'none'}) than "
                f"{self._plan.made_by}, on which it began. Submit it again when all have the same.",
                ErrorKind.MODEL_ERROR,
            )
        self._remove(index)

    def _remove(self, index: int) -> None:
        """Has a chunk made again, once it is gone."""
        chunk_id = self._plan.name_chunk(self._job.id, index)
        if self._removal.remove_chunk(self._job.id, self._stored, chunk_id):
            self._make_again(index)

    def _make_again(self, index: int) -> None:
        self._awaited.discard(index)
        self._missing.append(index)
