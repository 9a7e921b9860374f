"""What can go wrong: one hierarchy of errors, and the kinds by which programs tell them apart."""

from enum import StrEnum
from typing import Any


class ErrorKind(StrEnum):
    """What went wrong. By it the queue decides on retries, the proxy on the HTTP status."""

    # the request is refused; no job exists
    INVALID_JSON = "invalid-json"
    INVALID_INPUT = "invalid-input"
    UNKNOWN_MODEL = "unknown-model"
    BODY_TOO_LARGE = "body-too-large"
    UNSUPPORTED_ENCODING = "unsupported-encoding"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    REQUEST_TIMEOUT = "request-timeout"
    OVERLOADED = "overloaded"
    JOB_NOT_FOUND = "job-not-found"
    JOB_STATE = "job-state"
    RESULT_DELETED = "result-deleted"
    NOT_ACCEPTABLE = "not-acceptable"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    UNAUTHORIZED = "unauthorized"
    QUEUE_FULL = "queue-full"
    EXPIRES_TOO_SOON = "expires-too-soon"
    REDIS_UNAVAILABLE = "redis-unavailable"
    NO_BLOB_STORE = "no-blob-store"
    UPLOAD_NOT_FOUND = "upload-not-found"
    STORE_UNAVAILABLE = "store-unavailable"
    NO_WORKER = "no-worker"
    MODEL_UNAVAILABLE = "model-unavailable"
    ROLLOUT_STATE = "rollout-state"
    # a job failed; so can `invalid-input` and `invalid-model` be: what only the worker can see
    MODEL_ERROR = "model-error"
    TIMED_OUT = "timed-out"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RESULT_TOO_LARGE = "result-too-large"
    INPUT_UNAVAILABLE = "input-unavailable"
    INPUT_NOT_FOUND = "input-not-found"
    INPUT_DENIED = "input-denied"
    INPUT_TOO_LARGE = "input-too-large"
    OUTPUT_UNAVAILABLE = "output-unavailable"
    OUTPUT_DENIED = "output-denied"
    # what a client of the service meets
    UNREACHABLE = "unreachable"
    NOT_ENDED = "not-ended"
    UNEXPECTED = "unexpected"
    # a process cannot start
    INVALID_MODEL = "invalid-model"
    INVALID_SETTING = "invalid-setting"


class FailureKind(StrEnum):
    """Why a job may have failed: these of the kinds of error, and no others."""

    INVALID_INPUT = ErrorKind.INVALID_INPUT
    MODEL_ERROR = ErrorKind.MODEL_ERROR
    INVALID_MODEL = ErrorKind.INVALID_MODEL
    TIMED_OUT = ErrorKind.TIMED_OUT
    CRASHED = ErrorKind.CRASHED
    CANCELLED = ErrorKind.CANCELLED
    EXPIRED = ErrorKind.EXPIRED
    RESULT_TOO_LARGE = ErrorKind.RESULT_TOO_LARGE
    INPUT_UNAVAILABLE = ErrorKind.INPUT_UNAVAILABLE
    INPUT_NOT_FOUND = ErrorKind.INPUT_NOT_FOUND
    INPUT_DENIED = ErrorKind.INPUT_DENIED
    INPUT_TOO_LARGE = ErrorKind.INPUT_TOO_LARGE
    OUTPUT_UNAVAILABLE = ErrorKind.OUTPUT_UNAVAILABLE
    OUTPUT_DENIED = ErrorKind.OUTPUT_DENIED


class InferqError(Exception):
    """Any error of inferq's own: a kind for programs, and a message for people.

    Args:
        message: A sentence that says what was expected, what was got, and what to do.
        retry_after_seconds: When trying again may help, where that can be told.
        problem: The problem document (RFC 9457) that a service answered, where one did; within the service
            further members of it.
        request_id: Id of the request that a service answered so, by which its logs tell more.
    """

    kind: ErrorKind
    is_final = False
    """Whether a job that fails so is not tried again, whatever its kind."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        problem: dict[str, Any] | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        self.problem = problem
        self.request_id = request_id


class InvalidJsonError(InferqError):
    """The request body is not JSON, or not an object."""

    kind = ErrorKind.INVALID_JSON


class InvalidInputError(InferqError):
    """`data` does not fit the model's signature."""

    kind = ErrorKind.INVALID_INPUT


class UnknownModelError(InferqError):
    """No worker has announced a model of this name."""

    kind = ErrorKind.UNKNOWN_MODEL


class BodyTooLargeError(InferqError):
    """The request body is longer than the proxy accepts."""

    kind = ErrorKind.BODY_TOO_LARGE


class UnsupportedEncodingError(InferqError):
    """The request body is compressed in a way that the proxy does not know."""

    kind = ErrorKind.UNSUPPORTED_ENCODING


class UnsupportedMediaTypeError(InferqError):
    """The request body is of a type that the proxy does not know."""

    kind = ErrorKind.UNSUPPORTED_MEDIA_TYPE


class RequestTimeoutError(InferqError):
    """The request body comes too slowly."""

    kind = ErrorKind.REQUEST_TIMEOUT


class OverloadedError(InferqError):
    """The proxy is reading as many long bodies as it may hold."""

    kind = ErrorKind.OVERLOADED


class JobNotFoundError(InferqError):
    """No job has this id: it never existed, or its keys have expired."""

    kind = ErrorKind.JOB_NOT_FOUND


class UnauthorizedError(InferqError):
    """The service wants a key that it knows."""

    kind = ErrorKind.UNAUTHORIZED


class JobStateError(InferqError):
    """The job is not in a state in which this can be done with it."""

    kind = ErrorKind.JOB_STATE


class ResultDeletedError(InferqError):
    """The job has completed, and its result was deleted since."""

    kind = ErrorKind.RESULT_DELETED


class NotAcceptableError(InferqError):
    """There is no answer in any of the forms that the request accepts."""

    kind = ErrorKind.NOT_ACCEPTABLE


class IdempotencyConflictError(InferqError):
    """The request's Idempotency-Key belongs to another request."""

    kind = ErrorKind.IDEMPOTENCY_CONFLICT


class QueueFullError(InferqError):
    """As many jobs wait as the queue may hold."""

    kind = ErrorKind.QUEUE_FULL


class ExpiresTooSoonError(InferqError):
    """The job could not be started within the time that its request gives it."""

    kind = ErrorKind.EXPIRES_TOO_SOON


class RedisUnavailableError(InferqError):
    """Redis does not answer, or cannot take writes."""

    kind = ErrorKind.REDIS_UNAVAILABLE


class StoreUnavailableError(InferqError):
    """The blob store cannot be used now, or not by this process."""

    kind = ErrorKind.STORE_UNAVAILABLE


class BlobNotFoundError(StoreUnavailableError):
    """The blob store has not what a reference names: it was removed, or only a part of it was written."""


class StoreSlowError(StoreUnavailableError):
    """The blob store does not answer in time, or asks for fewer requests."""


class StoreDeniedError(StoreUnavailableError):
    """The blob store refuses this process: it has no credentials, wrong ones, or such without the right."""


class StoreMissingError(StoreUnavailableError):
    """The bucket in which the blob store is to be does not exist."""


class NoBlobStoreError(InferqError):
    """The service has no blob store, and this needs one."""

    kind = ErrorKind.NO_BLOB_STORE


class UploadNotFoundError(InferqError):
    """There is no upload of this id that this client may write."""

    kind = ErrorKind.UPLOAD_NOT_FOUND


class NoWorkerError(InferqError):
    """No worker has announced the model yet, so nothing is known of it."""

    kind = ErrorKind.NO_WORKER


class ModelUnavailableError(InferqError):
    """The workers that should serve the model have left it out, and none serves it."""

    kind = ErrorKind.MODEL_UNAVAILABLE


class RolloutStateError(InferqError):
    """The versions of a model, or what is said of them, do not allow this."""

    kind = ErrorKind.ROLLOUT_STATE


class ModelError(InferqError):
    """ONNX Runtime failed to run the model."""

    kind = ErrorKind.MODEL_ERROR


class TimedOutError(InferqError):
    """A run took longer than its job, or its model, allows."""

    kind = ErrorKind.TIMED_OUT


class ResultTooLargeError(InferqError):
    """A job's result is too large to be stored, or is refused by the server."""

    kind = ErrorKind.RESULT_TOO_LARGE


class InputUnavailableError(InferqError):
    """A file that a job names cannot be fetched at the moment."""

    kind = ErrorKind.INPUT_UNAVAILABLE


class InputNotFoundError(InferqError):
    """There is no file where a job says that one is."""

    kind = ErrorKind.INPUT_NOT_FOUND


class InputDeniedError(InferqError):
    """Where a file lies that a job names, it is not given to workers."""

    kind = ErrorKind.INPUT_DENIED


class InputTooLargeError(InferqError):
    """The files that a job names are longer than a worker fetches."""

    kind = ErrorKind.INPUT_TOO_LARGE


class OutputUnavailableError(InferqError):
    """A result cannot be written at the moment to where its job asks for it."""

    kind = ErrorKind.OUTPUT_UNAVAILABLE


class OutputDeniedError(InferqError):
    """Workers may not write a result to where its job asks for it, or there is no such bucket."""

    kind = ErrorKind.OUTPUT_DENIED


class ChunkFailedError(InferqError):
    """A chunk of a large job has failed for good, and so has the job.

    Args:
        message: See `InferqError`.
        kind: How the chunk has failed.
    """

    is_final = True

    def __init__(self, message: str, kind: ErrorKind) -> None:
        super().__init__(message)
        self.kind = kind


class UnreachableError(InferqError):
    """The service did not answer."""

    kind = ErrorKind.UNREACHABLE


class UnexpectedAnswerError(InferqError):
    """The service answered something that inferq does not say."""

    kind = ErrorKind.UNEXPECTED


class NotEndedError(InferqError):
    """The job had not ended when the time to wait was up. It goes on.

    Args:
        message: See `InferqError`.
        job_id: The job's id.
    """

    kind = ErrorKind.NOT_ENDED

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class InvalidModelError(InferqError):
    """A folder of the model repository cannot be served."""

    kind = ErrorKind.INVALID_MODEL


class InvalidSettingError(InferqError):
    """A setting, or the server it points to, cannot be used."""

    kind = ErrorKind.INVALID_SETTING
