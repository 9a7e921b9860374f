import pytest

from inferq.egress.bucket_policy import BucketPolicy
from inferq.jobs import Job, Status
from inferq.proxy.services.results.signed_output import sign_output_url
from inferq.settings import Settings

POLICY = BucketPolicy.for_outputs(Settings(output_allowed_buckets="s3://results/a"))


@pytest.mark.parametrize(
    ("output", "result"),
    [
        ("s3://results/a/", None),
        ("s3://results/a/", b"[1]"),
        ("s3://results/a/", b"\xff"),
        ("s3://results/a/", b'{"url": 3}'),
        ("s3://results/a/", b'{"url": "s3://secrets/x.json"}'),
        ("s3://results/b/", b'{"url": "s3://results/b/x.json"}'),
    ],
)
async def test_only_what_a_worker_may_have_written_is_signed(output, result):
    job = Job("x", Status.COMPLETED, result, output=output)
    assert await sign_output_url(job, POLICY) is None
