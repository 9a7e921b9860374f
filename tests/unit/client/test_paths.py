import pytest

from inferq.client.paths import make_job_path, make_model_path
from inferq.errors import JobNotFoundError, UnknownModelError


@pytest.mark.parametrize("job_id", ["", ".", "..", "a/../b", "a//b", "\udcff"])
def test_id_that_no_path_says_is_not_asked_for(job_id):
    with pytest.raises(JobNotFoundError):
        make_job_path(job_id)


def test_model_that_no_path_says_is_not_asked_for():
    with pytest.raises(UnknownModelError):
        make_model_path("\udcff")
