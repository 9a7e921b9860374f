from inferq.provenance import Provenance


def test_provenance_is_read_and_written_alike():
    made_by = Provenance("2", "3f2a9c1b2d4e", "onnxruntime-1.32.0", "CPUExecutionProvider")
    assert Provenance.parse(str(made_by)) == made_by


def test_record_of_an_earlier_version_has_the_version_alone():
    assert Provenance.parse("3f2a9c1b2d4e") == Provenance("3f2a9c1b2d4e")
    assert str(Provenance("3f2a9c1b2d4e")) == "3f2a9c1b2d4e"
