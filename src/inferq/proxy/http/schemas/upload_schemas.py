"""Uploads as the API shows them."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

_UPLOAD_ID = "5f2c0d7e9a1b4c3d8e6f7a8b9c0d1e2f-e3b0c442"
_REFERENCE: JsonDict = {"url": f"upload:{_UPLOAD_ID}"}


class UploadTarget(BaseModel):
    """Where to PUT a file."""

    url: str = Field(description="A URL of a bucket, or a path of this service, which needs the key")
    headers: dict[str, str] = Field(description="Headers to send with it")
    expires_in: float = Field(description="How long the URL may be used, seconds")


class FileReference(BaseModel):
    """What stands for a file wherever the value of an input may stand."""

    url: str = Field(examples=[f"upload:{_UPLOAD_ID}"])


class UploadView(BaseModel):
    """A new upload."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _UPLOAD_ID,
                    "put": {"url": f"/uploads/{_UPLOAD_ID}", "headers": {}, "expires_in": 86400.0},
                    "reference": _REFERENCE,
                }
            ]
        }
    )

    id: str
    put: UploadTarget
    reference: FileReference


class ReceivedUpload(BaseModel):
    """A file that this service has received."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reference": _REFERENCE, "bytes": 160}]})

    reference: FileReference
    bytes: int = Field(description="How long it is")
