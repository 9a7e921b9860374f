from inferq.doctor.finding import Level, ok
from inferq.doctor.provider_checks import check_provider_names, check_used_providers
from inferq.settings import Settings
from inferq.tensors.signature import ModelDocument

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def make_document(name, **more):
    return ModelDocument(name=name, version="1", versions=["1"], inputs=[], outputs=[], **more).to_json()


def test_a_name_that_is_no_provider_is_warned_of():
    [finding] = check_provider_names(Settings(providers="cuda,rocm"))
    assert finding.message.startswith("INFERQ_PROVIDERS has 'rocm': inferq knows no such provider; expected")
    assert list(check_provider_names(Settings())) == []


def test_a_provider_that_is_not_used_is_warned_of_and_those_that_are_used_are_named():
    problem = "The execution provider 'cuda' is not used. It is not there."
    announced = {
        "a": make_document("a", providers=[CPU], provider_problem=problem),
        "also": make_document("also", providers=[CPU], provider_problem=problem),
        "b": make_document("b", providers=[CUDA, CPU]),
        "older": make_document("older"),
        "broken": b"{",
    }
    warning, *others = check_used_providers(announced)
    assert warning.level is Level.WARNING
    assert warning.message == f"{CPU} runs a, also. {problem}"
    assert others == [ok("providers", f"{CPU} runs a, also."), ok("providers", f"{CUDA} runs b.")]
