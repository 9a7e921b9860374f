"""Models that are used no more are gone without a collection, which would stop all threads."""

import gc

from inferq.settings import Settings
from inferq.worker.loading.released_memory import ReleasedMemory
from inferq.worker.serving.served_models import ServedTable
from tests.models import serve
from tests.onnx_models import write_factor


def test_model_that_was_replaced_leaves_once_nothing_uses_it(tmp_path):
    table = serve(write_factor(tmp_path / "scale", 2), Settings()).table
    memory, used = ReleasedMemory(), table.versions["scale"].model
    gc.disable()
    try:
        memory.note_replaced(table, ServedTable())
        del table
        memory.free()
        assert len(memory._leaving) == 1
        del used
        memory.free()
        assert memory._leaving == []
    finally:
        gc.enable()
