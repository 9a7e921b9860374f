"""The types of problems: what all answers to one kind of error have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferq.errors import ErrorKind, FailureKind


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A type of problems.

    Attributes:
        status: HTTP status.
        title: The kind in a few words.
        example: A detail, for the documentation.
        headers: More headers of the answer.
    """

    status: int
    title: str
    example: str
    headers: Mapping[str, str] = field(default_factory=dict)


PROTOCOL_STATUSES: dict[str, int] = {ErrorKind.INVALID_INPUT: 400, ErrorKind.UNKNOWN_MODEL: 404}
"""Statuses of the Open Inference Protocol, where they differ: there the path names the model."""

TYPES = {
    ErrorKind.INVALID_JSON: ProblemType(
        400, "The request body is not JSON", "The request body must be a JSON object."
    ),
    ErrorKind.INVALID_INPUT: ProblemType(
        422, "The input does not fit", "data[0] has 3 values, but model 'iris' expects 4."
    ),
    ErrorKind.UNKNOWN_MODEL: ProblemType(
        422, "The model is not known", "There is no model 'irsi'. Known: iris."
    ),
    ErrorKind.MODEL_UNAVAILABLE: ProblemType(
        503,
        "The model cannot be served",
        "The model 'iris' cannot be served: iris/model.onnx cannot be read: Permission denied. Check its "
        "permissions.",
    ),
    ErrorKind.BODY_TOO_LARGE: ProblemType(
        413,
        "The request body is too large",
        "The request body is longer than 16777216 bytes (INFERQ_MAX_BODY_BYTES). Send fewer rows in each "
        "job, a smaller picture, or numbers as .npy instead of JSON; or ask the operator for more.",
    ),
    ErrorKind.UNSUPPORTED_ENCODING: ProblemType(
        415,
        "The Content-Encoding is not known",
        "Content-Encoding 'br' is not known. Send the body as it is, or compressed with gzip or deflate.",
        {"Accept-Encoding": "gzip, deflate"},
    ),
    ErrorKind.UNSUPPORTED_MEDIA_TYPE: ProblemType(
        415,
        "The Content-Type is not known",
        "Content-Type 'text/csv' is not known. Expected one of application/json, application/octet-stream, "
        "multipart/form-data, application/x-npy, application/x-npz, image/png, image/jpeg, image/webp, "
        "image/gif, image/tiff, image/bmp, audio/wav, application/x-inferq.",
    ),
    ErrorKind.REQUEST_TIMEOUT: ProblemType(
        408,
        "The request body comes too slowly",
        "512 bytes of the request body have come, and the rest did not come in time "
        "(INFERQ_REQUEST_TIMEOUT_SECONDS). Send it again, without pauses.",
    ),
    ErrorKind.OVERLOADED: ProblemType(
        503,
        "Too much is under way",
        "Too many long request bodies are being read at the moment. Try again later, or send them one after "
        "the other.",
    ),
    ErrorKind.JOB_NOT_FOUND: ProblemType(
        404,
        "The job is not known",
        "There is no job 'b44613': it never existed, or it ended and has expired since.",
    ),
    ErrorKind.JOB_STATE: ProblemType(
        409,
        "The job's state does not allow it",
        "Job '3f2a9c0e5b7d4e1f8a6b2c3d4e5f6071' has ended already: it is completed.",
    ),
    ErrorKind.RESULT_DELETED: ProblemType(
        410,
        "The result was deleted",
        "Job '3f2a9c0e5b7d4e1f8a6b2c3d4e5f6071' is completed, and its result was deleted. Submit it again.",
    ),
    ErrorKind.NOT_ACCEPTABLE: ProblemType(
        406,
        "There is no such form",
        "The result has the outputs 'boxes' and 'scores', and application/x-npy has one. Choose it with "
        "?output=boxes, or ask for application/x-npz.",
    ),
    ErrorKind.IDEMPOTENCY_CONFLICT: ProblemType(
        422,
        "The Idempotency-Key belongs to another request",
        "This Idempotency-Key was sent before, with another request. Send each request with a key of its "
        "own, and repeat a key only with the same request.",
    ),
    ErrorKind.UNAUTHORIZED: ProblemType(
        401,
        "A key is needed",
        "This needs a key that the service knows. Send it as the header Authorization: Bearer KEY.",
        {"WWW-Authenticate": "Bearer"},
    ),
    ErrorKind.QUEUE_FULL: ProblemType(
        503,
        "The queue is full",
        "100000 jobs wait for model 'iris' and no more are taken (INFERQ_MAX_QUEUED). Try again later, or "
        "add workers.",
    ),
    ErrorKind.EXPIRES_TOO_SOON: ProblemType(
        503,
        "The job would not start in time",
        "The job would start in about 95 s, and it expires in 10 s. Give it more time, try again later, or "
        "add workers.",
    ),
    ErrorKind.ROLLOUT_STATE: ProblemType(
        409,
        "The model's versions do not allow it",
        "No version of model 'iris' has served before. Promote the one that is to serve.",
    ),
    ErrorKind.REDIS_UNAVAILABLE: ProblemType(
        503, "The queue is out of reach", "Redis did not answer within 1.5 s."
    ),
    ErrorKind.STORE_UNAVAILABLE: ProblemType(
        503,
        "The blob store is out of reach",
        "The blob store /var/lib/inferq/blobs cannot be used: Permission denied. It must be a folder that "
        "this process may write to (INFERQ_BLOB_STORE).",
    ),
    ErrorKind.NO_BLOB_STORE: ProblemType(
        501,
        "There is no blob store",
        "Uploads need a blob store, and this service has none (INFERQ_BLOB_STORE). Send the data itself.",
    ),
    ErrorKind.UPLOAD_NOT_FOUND: ProblemType(
        404,
        "The upload is not known",
        "This is no upload of yours. POST /uploads makes one, and says where to PUT it.",
    ),
    ErrorKind.NO_WORKER: ProblemType(
        503,
        "No worker has announced the model yet",
        "No worker has announced the model 'iris' yet. Start one and try again.",
    ),
}

JOB_FAILURES: dict[str, ProblemType] = {
    FailureKind.INVALID_INPUT: ProblemType(
        400, "The input does not fit", "data has a value that is not UTF-8 text, the 1. in row-major order."
    ),
    FailureKind.MODEL_ERROR: ProblemType(
        500, "The model has failed", "The model 'iris' failed: an index is out of bounds."
    ),
    FailureKind.INVALID_MODEL: ProblemType(
        500, "The model cannot be used", "The model answered with class 7, which class_names does not have."
    ),
    FailureKind.CRASHED: ProblemType(
        500, "The job has ended its worker", "3 attempts ended with their worker's process."
    ),
    FailureKind.RESULT_TOO_LARGE: ProblemType(
        500, "The result is too large", "The result has 300000000 bytes, more than INFERQ_MAX_RESULT_BYTES."
    ),
    FailureKind.INPUT_UNAVAILABLE: ProblemType(
        502,
        "An input cannot be fetched now",
        "data: the file was not fetched: example.com answered 503.",
    ),
    FailureKind.INPUT_NOT_FOUND: ProblemType(
        400, "An input is not there", "data: there is no such file: example.com answered 404."
    ),
    FailureKind.INPUT_DENIED: ProblemType(
        400, "An input is not given to workers", "data: the file is not given: example.com answered 403."
    ),
    FailureKind.INPUT_TOO_LARGE: ProblemType(
        400,
        "An input is too large",
        "data: the file has more than 67108864 bytes (INFERQ_MAX_INPUT_BYTES).",
    ),
    FailureKind.OUTPUT_UNAVAILABLE: ProblemType(
        502,
        "The result cannot be written now",
        "The result was not written: The bucket s3://results does not answer in time.",
    ),
    FailureKind.OUTPUT_DENIED: ProblemType(
        400,
        "The result may not be written",
        "The result was not written: The bucket s3://results refuses this process: AccessDenied.",
    ),
    FailureKind.CANCELLED: ProblemType(409, "The job was cancelled", "The job was cancelled."),
    FailureKind.TIMED_OUT: ProblemType(
        504, "The run took too long", "The run took longer than 0.5 s, its timeout."
    ),
    FailureKind.EXPIRED: ProblemType(
        504, "The job did not start in time", "No worker has taken the job within 0.5 s."
    ),
    ErrorKind.NOT_ENDED: ProblemType(
        504,
        "The job has not ended in time",
        "The job has not ended within 60 s. It goes on.",
    ),
}
"""Why a request that waits for the outputs of its job may get none, by kind of error."""
