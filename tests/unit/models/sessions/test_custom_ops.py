import hashlib

import pytest

from inferq.errors import InvalidModelError
from inferq.models.repository.model_folder import load_model
from tests.custom_ops import build_library, write_twice
from tests.models import predict, run_job

TABLE = '[custom_ops]\nlibraries = ["libs/libtwice.so"]\n'


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The bytes of a library."""
    return build_library(tmp_path_factory.mktemp("built") / "libtwice.so").read_bytes()


@pytest.fixture
def folder(tmp_path, library):
    """A model with its library."""
    folder = write_twice(tmp_path / "twice", config=TABLE)
    (folder / "libs").mkdir()
    (folder / "libs/libtwice.so").write_bytes(library)
    return folder


def find_error(folder):
    with pytest.raises(InvalidModelError) as caught:
        load_model(folder)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_operator_of_a_library_that_model_toml_names_runs(folder):
    assert run_job(folder, [[1, 2], [3, 4]]) == {"outputs": {"y": [[2, 4], [6, 8]]}}


def test_version_covers_the_library_as_sha256sum_prints_it(folder):
    names = ("model.onnx", "libs/libtwice.so")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()[:12]
    assert load_model(folder).document.version == expected


def test_versions_share_a_library_of_the_models_folder_unless_they_have_their_own(tmp_path):
    for version in ("1", "2"):
        write_twice(tmp_path / "twice" / version)
    (tmp_path / "twice/model.toml").write_text(TABLE)
    build_library(tmp_path / "twice/libs/libtwice.so")
    build_library(tmp_path / "twice/2/libs/libtwice.so", "-DFACTOR=3")
    first, second = (load_model(tmp_path / "twice" / version, version=version) for version in ("1", "2"))
    assert predict(first, b"[[1, 2]]") == b'{"outputs":{"y":[[2.0,4.0]]}}'
    assert predict(second, b"[[1, 2]]") == b'{"outputs":{"y":[[3.0,6.0]]}}'
    assert first.document.digest != second.document.digest


def test_library_that_is_moved_over_one_in_use_is_loaded_beside_it(folder):
    models = [load_model(folder)]
    for factor in (3, 4):
        build_library(folder / "built.so", f"-DFACTOR={factor}").replace(folder / "libs/libtwice.so")
        models.append(load_model(folder))
    found = [predict(model, b"[[1, 2]]") for model in (*models, load_model(folder))]
    assert found == [b'{"outputs":{"y":[[%.1f,%.1f]]}}' % (one, 2 * one) for one in (2, 3, 4, 4)]


def test_library_that_is_missing_or_outside_the_folder_is_named(folder, tmp_path):
    (folder / "libs/libtwice.so").rename(tmp_path / "libtwice.so")
    assert "names the library 'libs/libtwice.so', but" in find_error(folder)
    for outside in ("../libtwice.so", str(tmp_path / "libtwice.so")):
        write_twice(folder, config=f'[custom_ops]\nlibraries = ["{outside}"]\n')
        assert "outside the model's folder" in find_error(folder)


def test_library_for_another_processor_or_system_says_for_which(folder, library):
    built = bytearray(library)
    built[18:20] = (20).to_bytes(2, "little")  # PowerPC, in an ELF file
    (folder / "libs/libtwice.so").write_bytes(built)
    assert "is for another processor (20), but the worker runs on" in find_error(folder)
    (folder / "libs/libtwice.so").write_bytes(b"MZ" + bytes(100))
    assert "is for Windows, but the worker runs on" in find_error(folder)


def test_file_that_is_no_library_is_named(folder):
    (folder / "libs/libtwice.so").write_text("not a library")
    assert "is no shared library, or is damaged" in find_error(folder)


def test_library_without_the_function_that_registers_says_so(folder):
    build_library(folder / "libs/libtwice.so", "-DRegisterCustomOps=RegisterNothing")
    assert "has no function RegisterCustomOps" in find_error(folder)


def test_library_that_lacks_what_it_is_linked_with_names_that(folder):
    other = build_library(folder / "libother.so")
    build_library(folder / "libs/libtwice.so", "-Wl,--no-as-needed", f"-L{folder}", "-lother")
    other.unlink()
    assert "libother.so: cannot open shared object file" in find_error(folder)


def test_operator_that_is_not_known_is_named_with_what_to_write(folder):
    write_twice(folder, "Thrice")
    message = find_error(folder)
    assert "the operator 'Thrice' of the domain 'test.inferq', which libtwice.so does not have" in message
    (folder / "model.toml").unlink()
    assert 'under [custom_ops], libraries = ["NAME.so"]' in find_error(folder)


def test_table_without_libraries_is_an_error(folder):
    (folder / "model.toml").write_text("[custom_ops]\n")
    assert "'custom_ops.libraries' is not valid" in find_error(folder)
