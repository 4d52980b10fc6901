import pytest

from tests.fit.made import layout
from vramline.cli.fit.command import spelt, start_of
from vramline.cli.fit.subject import Subject
from vramline.fit.library import FileFormat, Source
from vramline.fit.settings import ALL_LAYERS, Device, Runner, settings_of
from vramline.fit.tensor_types import TensorType

GPU = "GPU-0"
CUDA = {GPU: "CUDA0"}


def lines(runner: Runner, source: Source = Source.FOLDER, **changes: object) -> tuple[str, ...]:
    settings = settings_of(
        runner,
        **{"context_tokens": 8192, "sequences": 1, "devices": (Device(uid=GPU),), **changes},
    )
    subject = Subject(
        name="my model:Q4_K_M",
        path="/srv/my models/it.gguf",
        source=source,
        format=FileFormat.GGUF,
        layout=layout("llama", 4),
        architecture="llama",
    )
    start = start_of(subject, settings, names=CUDA, blocks=4, projector=None)
    return (*start.before, *start.lines)


@pytest.mark.parametrize(
    ("runner", "program", "more"),
    [
        (Runner.LLAMA_SERVER, "llama-server", ""),
        (Runner.LLAMA_LIBRARY, "llama-cli", " --swa-full"),
    ],
)
def test_llama_cpps_programs_get_the_file_and_flags(
    runner: Runner, program: str, more: str
) -> None:
    assert lines(runner) == (
        (
            f"{program} --model '/srv/my models/it.gguf' --ctx-size 8192 --parallel 1"
            f" --n-gpu-layers 999 --device CUDA0{more}"
        ),
    )


def test_llama_cpp_python_is_called() -> None:
    assert lines(Runner.LLAMA_CPP_PYTHON, device_layers=ALL_LAYERS) == (
        "llama_cpp.Llama(model_path='/srv/my models/it.gguf', n_ctx=8192, n_gpu_layers=-1)",
    )


def test_ollama_runs_its_own_by_name_and_gets_the_rest_as_parameters() -> None:
    assert lines(Runner.OLLAMA, Source.OLLAMA, cache_type_k=TensorType.Q8_0) == (
        (
            "Ollama's server has to be started with OLLAMA_NUM_PARALLEL=1 OLLAMA_FLASH_ATTENTION=1"
            " OLLAMA_KV_CACHE_TYPE=q8_0"
        ),
        "What begins with /set is typed at Ollama's own prompt",
        "ollama run 'my model:Q4_K_M'",
        "/set parameter num_ctx 8192",
        "/set parameter num_batch 512",
        "/set parameter num_gpu 999",
    )


def test_another_file_is_given_to_ollama_first() -> None:
    assert lines(Runner.OLLAMA)[2:5] == (
        "printf '%s\\n' 'FROM /srv/my models/it.gguf' > Modelfile",
        "ollama create my-model",
        "ollama run my-model",
    )


def test_lm_studio_loads_its_own_by_name() -> None:
    assert lines(Runner.LM_STUDIO, Source.LM_STUDIO) == (
        "lms load 'my model:Q4_K_M' --context-length 8192 --gpu max --parallel 1",
    )


def test_vllm_and_transformers_get_the_folder() -> None:
    assert lines(Runner.VLLM) == (
        "vllm serve '/srv/my models/it.gguf' --max-model-len 8192 --max-num-seqs 1",
    )
    assert lines(Runner.TRANSFORMERS) == (
        (
            "transformers.AutoModelForCausalLM.from_pretrained('/srv/my models/it.gguf',"
            " device_map='auto')"
        ),
    )


def test_devices_that_no_option_names_are_chosen_by_the_environment() -> None:
    (command,) = lines(Runner.VLLM, devices=(Device(uid="GPU-1"),))

    assert command.startswith("CUDA_VISIBLE_DEVICES=GPU-1 vllm serve '/srv/my models/it.gguf' ")
    assert lines(Runner.TRANSFORMERS, devices=(Device(uid="GPU-1"),))[0] == (
        "Python has to be started with CUDA_VISIBLE_DEVICES=GPU-1"
    )


def test_a_window_that_is_not_kept_whole_is_said_where_it_is_usual() -> None:
    (command,) = lines(Runner.LLAMA_CPP_PYTHON, full_window_cache=False)

    assert command.endswith(", swa_full=False)")


@pytest.mark.parametrize(
    ("word", "expected", "on_windows"),
    [
        ("it.gguf", "it.gguf", "it.gguf"),
        ("my it.gguf", "'my it.gguf'", '"my it.gguf"'),
        ("a'b\nc\\.gguf", r"$'a\047b\012c\134.gguf'", None),
        ("\udcff\x1b[31m", r"$'\377\033[31m'", None),
    ],
)
def test_any_name_is_spelt_so_that_it_can_be_copied(
    word: str, expected: str, on_windows: str | None
) -> None:
    assert spelt(["cat", word], windows=False) == f"cat {expected}"
    assert on_windows is None or spelt(["cat", word], windows=True) == f"cat {on_windows}"
