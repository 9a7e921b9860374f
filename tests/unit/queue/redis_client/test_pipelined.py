import hiredis
import pytest

from inferq.queue.redis_client.pipelined import CHUNK_BYTES, pack_in_chunks


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5])
def test_command_in_chunks_is_the_same_without_a_copy_of_its_long_value(size):
    value = bytes(size)
    command = ("SET", "clé".encode(), value, "PX", 600_000)
    chunks = [*pack_in_chunks(command)]
    assert b"".join(chunks) == hiredis.pack_command(command)
    assert all(len(chunk) <= CHUNK_BYTES + 100 for chunk in chunks)
    assert (size > CHUNK_BYTES) == any(getattr(chunk, "obj", None) is value for chunk in chunks)
