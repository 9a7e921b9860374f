from pathlib import Path

import pytest

from inferq.errors import ModelError
from inferq.models.model import RunHandle
from inferq.models.repository.model_folder import load_model

IRIS = Path(__file__).parents[4] / "models" / "iris"


def test_a_run_can_be_stopped_by_its_handle():
    handle = RunHandle()
    handle.stop()
    model = load_model(IRIS)
    with pytest.raises(ModelError, match="terminate"):
        model.run(model.decode(b"[[1, 2, 3, 4]]").inputs, handle)
