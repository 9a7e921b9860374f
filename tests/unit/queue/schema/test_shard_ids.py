import pytest

from inferq.queue.schema.shard_ids import add_shard, find_shard, is_own_id

ID = "0123456789abcdef" * 2


@pytest.mark.parametrize("shard", [0, 1, 9, 10, 255])
def test_id_tells_its_shard_and_so_do_those_of_its_chunks(shard):
    named = add_shard(ID, shard)
    assert find_shard(named, 256) == find_shard(f"{named}-chunk12", 256) == shard
    assert is_own_id(named)
    assert not is_own_id(named[:31])


def test_id_of_one_shard_alone_is_as_ever():
    assert add_shard(ID, 0) == ID


@pytest.mark.parametrize("job_id", ["42", "job-1", f"{ID}-2", f"{ID}-01", f"{ID}-x", ID.upper(), ""])
def test_id_from_outside_tells_no_shard(job_id):
    assert find_shard(job_id, 2) is None
