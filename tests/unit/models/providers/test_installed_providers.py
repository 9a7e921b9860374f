from inferq.models.providers.execution_providers import RUNTIME, ExecutionConfig
from inferq.models.providers.installed_providers import choose_providers, count_cuda_devices


def choose(*names, **given_up):
    return choose_providers(ExecutionConfig(providers=names, given_up=given_up))


def test_auto_takes_nothing_but_the_cpu_where_onnx_runtime_has_nothing_else():
    assert choose("auto") == ([], {})


def test_a_provider_that_is_not_installed_is_left_out_with_what_to_install():
    chosen, reasons = choose("cuda", "openvino")
    assert chosen == []
    has_none = f"{RUNTIME.replace('-', ' ')}, as it is installed here, has no"
    assert reasons == {
        "cuda": f"{has_none} CUDAExecutionProvider. Install inferq[gpu] instead of inferq[worker].",
        "openvino": f"{has_none} OpenVINOExecutionProvider. Install inferq[openvino] as well.",
    }


def test_an_unknown_provider_is_left_out_with_the_known_names():
    _, reasons = choose("rocm", "cpu")
    assert reasons == {
        "rocm": "inferq knows no such provider; expected auto, cuda, tensorrt, openvino, coreml, cpu."
    }


def test_what_stands_behind_the_cpu_is_not_wanted():
    assert choose("cpu", "cuda") == ([], {})


def test_a_provider_that_was_given_up_keeps_its_reason():
    assert choose("cuda", cuda="It fails.") == ([], {"cuda": "It fails."})


def test_a_machine_without_the_driver_of_nvidia_has_no_gpus(monkeypatch):
    monkeypatch.setattr("inferq.models.providers.installed_providers._CUDA_DRIVER", "libno-such-driver.so.1")
    assert count_cuda_devices.__wrapped__() == 0
