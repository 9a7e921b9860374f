import pytest

from inferq.model_names import QueueName


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("iris", ("iris", "", "", "")),
        ("iris@2", ("iris", "2", "", "")),
        ("iris@v1.0-rc~shadow", ("iris", "v1.0-rc", "shadow", "")),
        ("iris~chunks", ("iris", "", "chunks", "")),
        ("iris@3~chunks-0f3c5a9e7b21", ("iris", "3", "chunks", "0f3c5a9e7b21")),
    ],
)
def test_name_is_read_and_written_alike(text, parts):
    name = QueueName.parse(text)
    assert name == parts
    assert str(name) == text
    assert name.base == text.partition("~")[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@2",
        "iris@",
        "iris@2@3",
        "iris~",
        "iris~other",
        "iris~chunks-",
        "iris-0f3c5a9e7b21~",
        "a/b",
        "iris 2",
        ".iris",
    ],
)
def test_other_texts_are_no_names(text):
    assert QueueName.parse(text) is None
