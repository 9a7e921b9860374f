"""What makes a model's files count as changed."""

from inferq.models.repository.repository_scan import ModelFolder
from inferq.worker.loading.folder_stamp import make_stamp


def test_file_whose_permissions_change_is_tried_again(tmp_path):
    file = tmp_path / "model.onnx"
    file.touch(0o600)
    folder = ModelFolder(tmp_path, tmp_path.name)
    before = make_stamp(folder, 1.0)
    assert make_stamp(folder, 1.0) == before
    file.chmod(0o644)
    assert make_stamp(folder, 1.0) != before
