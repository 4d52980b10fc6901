from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramline.cli.fit.options import FitOptions
from vramline.cli.options import parse
from vramline.fit.settings import ALL_LAYERS, Backend, FlashAttention, Processor, Runner
from vramline.fit.tensor_types import TensorType
from vramline.units import GIB, MIB


def fit(*arguments: str) -> FitOptions:
    found = parse(["fit", "model.gguf", *arguments]).fit
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", {}),
        ("-c 8192", {"context_tokens": 8192}),
        ("--ctx-size 32k", {"context_tokens": 32768}),
        ("-c 0", {"context_tokens": 0}),
        ("-np 2 -kvu", {"sequences": 2, "unified_cache": True}),
        ("--no-kv-unified", {"unified_cache": False}),
        ("-b 64 -ub 32", {"batch_tokens": 64, "micro_batch_tokens": 32}),
        ("-fa OFF", {"flash_attention": FlashAttention.OFF}),
        ("-ctk q8_0 -ctv F16", {"cache_type_k": TensorType.Q8_0, "cache_type_v": TensorType.F16}),
        ("--swa-full", {"full_window_cache": True}),
        ("--swa-full --no-swa-full", {"full_window_cache": False}),
        ("-ngl 20", {"device_layers": 20}),
        ("-ngl all", {"device_layers": ALL_LAYERS}),
        ("-ngl 20 -ngl auto", {}),
        ("-ncmoe 3", {"host_expert_layers": 3}),
        ("--cpu-moe", {"host_expert_layers": ALL_LAYERS}),
        ("-nkvo --no-mmap -nr", {"cache_on_devices": False, "map_file": False, "repack": False}),
        ("--embeddings --outputs 7", {"embeddings": True, "outputs": 7}),
        ("--cache-ram 512", {"prompt_cache_bytes": 512 * MIB}),
        ("--cache-ram -1", {"prompt_cache_bytes": -MIB}),
        ("--gpu-memory-utilization 0.5", {"memory_share": 0.5}),
        ("--processor arm", {"processor": Processor.ARM}),
    ],
)
def test_settings_are_said_with_llama_cpps_names(arguments: str, said: dict[str, Any]) -> None:
    assert fit(*arguments.split()) == FitOptions(model="model.gguf", said=said)


def test_what_is_no_setting_is_said_too() -> None:
    words = "--runner ollama --keep-free 1.5GiB --keep-host 512m -ts 3,1 -dev 0,GPU-1 --need"

    assert fit(*words.split()) == FitOptions(
        model="model.gguf",
        runner=Runner.OLLAMA,
        keep_free_bytes=3 * GIB // 2,
        keep_host_bytes=512 * MIB,
        shares=(3.0, 1.0),
        devices=("0", "GPU-1"),
        need_only=True,
    )
    assert fit("--on", "cuda,cuda,vulkan").imagined == (
        Backend.CUDA,
        Backend.CUDA,
        Backend.VULKAN,
    )
    assert fit("--on", "none").imagined == ()
    assert fit("--device", "none").devices == ()


@pytest.mark.parametrize(
    ("arguments", "exact"),
    [
        ("-c 8192 -ctk q8_0 -ctv q8_0 -fa on", False),
        ("-ctk q8_0", True),
        ("-ctk q8_0 -ctv f16", True),
        ("-ngl 20", True),
        ("-ngl auto", False),
        ("--cpu-moe", True),
        ("--device none", True),
        ("-ts 1,1", True),
    ],
)
def test_who_says_where_layers_go_gets_just_that(arguments: str, exact: bool) -> None:
    assert fit(*arguments.split()).is_exact is exact


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit", "which model? `vramline models` lists those that are here"),
        ("fit x -c many", "argument -c/--ctx-size: 'many' is no number of tokens: 8192 and 8k are"),
        ("fit x -c 99999999999", "argument -c/--ctx-size: '99999999999' is no number of tokens: "),
        ("fit x -np 0", "argument -np/--parallel: '0' is no whole number above zero"),
        ("fit x -fa maybe", "argument -fa/--flash-attn: 'maybe' is no word for it: on, off and "),
        ("fit x -ctk q9", "argument -ctk/--cache-type-k: 'q9' is no type for a cache: f32, f16, "),
        ("fit x -ngl some", "argument -ngl/--gpu-layers/--n-gpu-layers: 'some' is no number of "),
        (
            "fit x --keep-free lots",
            "argument --keep-free: 'lots' is no size: 512MiB and 1.5GiB are",
        ),
        ("fit x --on gpu", "argument --on: 'gpu' is no list of devices: none, cuda,cuda, and "),
        ("fit x -ts 3;1", "argument -ts/--tensor-split: '3;1' is no list of shares: 3,1 is"),
        ("fit x -dev 0,,1", "argument -dev/--device: '0,,1' is no list of devices: 0,1 and none "),
        ("fit x --gpu-memory-utilization 2", "argument --gpu-memory-utilization: '2' is no share"),
        ("fit x --on cuda --device 0", "--on does not go with --device: it says the devices"),
        ("fit x --on cuda -ts 1,1", "--tensor-split has 2 shares for 1 devices"),
        ("fit x --runner word", "argument --runner: invalid choice: 'word' (choose from "),
        ("fit --forget word", "argument --forget: invalid choice: 'word' (choose from "),
        ("models --ctx", "unrecognized arguments: --ctx"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(arguments.split())

    output, errors = capsys.readouterr()
    assert (exit_.value.code, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"vramline: {message}")
    assert "<" not in errors  # as an enumeration's member has it


@given(words=st.lists(st.text(max_size=12), max_size=4))
def test_no_word_is_a_traceback(words: list[str]) -> None:
    flags = ("-c", "-np", "-fa", "-ctk", "-ngl", "-cram", "-ts", "-dev", "--on", "--keep-free")
    for flag in flags:
        for word in words:
            try:
                parse(["fit", "x", f"{flag}={word}" if flag.startswith("--") else f"{flag}{word}"])
            except SystemExit as exit_:
                assert exit_.code in (0, 2)  # noqa: PT017 - 0 is the help
