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


def test_version_changes_with_a_library_that_it_has_from_its_model(tmp_path):
    folder = ModelFolder(tmp_path / "1", "twice", "1")
    folder.path.mkdir()
    (tmp_path / "model.toml").write_text('[custom_ops]\nlibraries = ["libs/libtwice.so"]\n')
    library = tmp_path / "libs" / "libtwice.so"
    missing = make_stamp(folder, 1.0)
    library.parent.mkdir()
    library.write_bytes(b"one")
    present = make_stamp(folder, 1.0)
    library.write_bytes(b"another")
    assert len({missing, present, make_stamp(folder, 1.0)}) == 3


def test_rollout_changes_no_version_unless_it_is_not_valid(tmp_path):
    folder = ModelFolder(tmp_path / "1", "scale", "1")
    folder.path.mkdir()

    def stamp(text):
        (tmp_path / "model.toml").write_text(text)
        return make_stamp(folder, 1.0)

    first, second = (stamp(f'[rollout]\nserve = "{one}"\n') for one in "12")
    assert first == second == stamp("")
    assert stamp("[rollout]\nshares = {1 = 7}\n") != first
