"""The id of a worker process."""

import os
import re

import pytest

from inferq.queue.consumer.registry import make_worker_id


def test_id_names_host_and_process_and_is_unique():
    ids = {make_worker_id("gpu-1.example.com") for _ in range(20)}
    assert len(ids) == 20
    assert all(re.fullmatch(rf"gpu-1\.example\.com-{os.getpid()}-[0-9a-f]{{6}}", made) for made in ids)


@pytest.mark.parametrize("host", ["a|b", "a:b", "a b", "a,b", "a\nb", 'a"b', "a*b", "a{b", "aéb", "a\udcffb"])
def test_host_name_leaves_no_separator_in_it(host):
    assert re.fullmatch(r"a-b-\d+-[0-9a-f]{6}", make_worker_id(host))
