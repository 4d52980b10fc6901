from typing import Any

import pytest

from tests.fit.plan.standin import gpu, snapshot
from vramline.fit.plan.flags import Flags, device_names, flags_of
from vramline.fit.settings import (
    ALL_LAYERS,
    Device,
    FlashAttention,
    Runner,
    settings_of,
)
from vramline.fit.tensor_types import TensorType
from vramline.readings import FrozenDict

ONE = (Device(uid="GPU-a"),)
TWO = (Device(uid="GPU-a", share=20.0), Device(uid="GPU-b", share=13.0))
Q8 = {"cache_type_k": TensorType.Q8_0, "cache_type_v": TensorType.Q8_0}
NAMES = {"GPU-a": "CUDA0", "GPU-b": "CUDA1"}


@pytest.mark.parametrize(
    ("changes", "arguments"),
    [
        ({"devices": ONE}, "--ctx-size 8192 --parallel 1 --n-gpu-layers 999 --device CUDA0"),
        ({}, "--ctx-size 8192 --parallel 1 --n-gpu-layers 0 --device none"),
        (
            {"devices": ONE, "device_layers": 12, **Q8},
            (
                "--ctx-size 8192 --parallel 1 --n-gpu-layers 12 --device CUDA0"
                " --cache-type-k q8_0 --cache-type-v q8_0 --flash-attn on"
            ),
        ),
        (
            {"devices": ONE, "host_expert_layers": 20},
            "--ctx-size 8192 --parallel 1 --n-gpu-layers 999 --device CUDA0 --n-cpu-moe 20",
        ),
        (
            {"devices": TWO},
            (
                "--ctx-size 8192 --parallel 1 --n-gpu-layers 999 --device CUDA0,CUDA1"
                " --tensor-split 20,13"
            ),
        ),
        (
            {
                "devices": ONE,
                "sequences": 2,
                "unified_cache": True,
                "flash_attention": FlashAttention.OFF,
                "micro_batch_tokens": 1024,
                "batch_tokens": 1024,
                "cache_on_devices": False,
                "map_file": False,
                "repack": False,
                "full_window_cache": True,
                "prompt_cache_bytes": 2**30,
            },
            (
                "--ctx-size 8192 --parallel 2 --kv-unified --n-gpu-layers 999 --device CUDA0"
                " --flash-attn off --no-kv-offload --batch-size 1024 --ubatch-size 1024"
                " --load-mode none --swa-full --no-repack --cache-ram 1024"
            ),
        ),
    ],
)
def test_llama_server_is_told_all_that_is_not_its_default(
    changes: dict[str, Any], arguments: str
) -> None:
    kept = {"context_tokens": 8192, "sequences": 1, **changes}

    flags = flags_of(settings_of(Runner.LLAMA_SERVER, **kept), names=NAMES)

    assert flags == Flags(arguments=tuple(arguments.split()))


def test_a_device_whose_name_is_not_known_is_left_to_the_runner() -> None:
    settings = settings_of(Runner.LLAMA_SERVER, context_tokens=4096, devices=ONE)

    assert flags_of(settings).arguments == ("--ctx-size", "4096", "--n-gpu-layers", "999")


def test_what_llama_cpp_calls_a_device_is_told_from_its_number_in_cuda() -> None:
    cards = (gpu("GPU-a", cuda_index=1), gpu("GPU-b", cuda_index=None))

    assert device_names(snapshot(*cards)) == {"GPU-a": "CUDA1"}


@pytest.mark.parametrize(
    ("runner", "changes", "flags"),
    [
        (
            Runner.LLAMA_BENCH,
            {"devices": ONE, "cache_on_devices": False},
            Flags(arguments=("--n-gpu-layers", "999", "--no-kv-offload", "1")),
        ),
        (
            Runner.LLAMA_CPP_PYTHON,
            {"devices": TWO, "device_layers": ALL_LAYERS, **Q8},
            Flags(
                parameters=FrozenDict(
                    n_ctx="8192",
                    n_gpu_layers="-1",
                    tensor_split="[20, 13]",
                    type_k="8",
                    type_v="8",
                    flash_attn="True",
                )
            ),
        ),
        (
            Runner.OLLAMA,
            {"devices": ONE, "sequences": 2, **Q8},
            Flags(
                environment=FrozenDict(
                    OLLAMA_NUM_PARALLEL="2", OLLAMA_FLASH_ATTENTION="1", OLLAMA_KV_CACHE_TYPE="q8_0"
                ),
                parameters=FrozenDict(num_ctx="4096", num_batch="512", num_gpu="999"),
            ),
        ),
        (
            Runner.LM_STUDIO,
            {"devices": ONE, "device_layers": 12},
            Flags(
                arguments=("--context-length", "8192", "--gpu", "0.5", "--parallel", "1"),
            ),
        ),
        (
            Runner.VLLM,
            {"devices": TWO, "sequences": 4, "memory_share": 0.8},
            Flags(
                arguments=(
                    *("--max-model-len", "2048", "--max-num-seqs", "4"),
                    *("--tensor-parallel-size", "2", "--gpu-memory-utilization", "0.8"),
                )
            ),
        ),
        (Runner.TRANSFORMERS, {}, Flags(parameters=FrozenDict(device_map="cpu"))),
    ],
)
def test_every_runner_is_told_in_its_own_words(
    runner: Runner, changes: dict[str, Any], flags: Flags
) -> None:
    settings = settings_of(runner, context_tokens=8192, **changes)

    assert flags_of(settings, blocks=24) == flags


@pytest.mark.parametrize("runner", Runner)
def test_there_is_no_runner_without_flags(runner: Runner) -> None:
    flags = flags_of(settings_of(runner, context_tokens=4096, devices=ONE))

    assert flags.arguments or flags.environment or flags.parameters
