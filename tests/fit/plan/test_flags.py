from typing import Any

import pytest

from tests.fit.plan.standin import gpu, snapshot
from vramline.fit.plan.flags import Flags, device_names, flags_of
from vramline.fit.settings import (
    ALL_LAYERS,
    Backend,
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
        (
            {"devices": ONE, "device_layers": -1},
            "--ctx-size 8192 --parallel 1 --n-gpu-layers 999 --device CUDA0",
        ),
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
                "embeddings": True,
            },
            (
                "--ctx-size 8192 --parallel 2 --kv-unified --n-gpu-layers 999 --device CUDA0"
                " --flash-attn off --no-kv-offload --batch-size 1024 --ubatch-size 1024"
                " --load-mode none --embeddings --swa-full --no-repack --cache-ram 1024"
            ),
        ),
        (
            {"sequences": None, "unified_cache": False},
            "--ctx-size 8192 --parallel 4 --n-gpu-layers 0 --device none",
        ),
    ],
)
def test_llama_server_is_told_all_that_is_not_its_default(
    changes: dict[str, Any], arguments: str
) -> None:
    kept = {"context_tokens": 8192, "sequences": 1, **changes}

    flags = flags_of(settings_of(Runner.LLAMA_SERVER, **kept), names=NAMES)

    assert flags == Flags(arguments=tuple(arguments.split()))


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.6, 0.4), "0.6,0.4"),
        ((8589934592.0, 6442450944.0), "8589934592,6442450944"),
        ((3.0, 0.0), "3,0"),
        ((0.0, 0.0), None),
    ],
)
def test_shares_are_said_as_they_were_judged(shares: tuple[float, ...], said: str | None) -> None:
    devices = tuple(Device(uid=uid, share=share) for uid, share in zip(NAMES, shares, strict=True))
    told = flags_of(settings_of(Runner.LLAMA_SERVER, devices=devices), names=NAMES).arguments

    where = told.index("--tensor-split") + 1 if "--tensor-split" in told else None
    assert (where and told[where]) == said


def server(*devices: Device, **names: str) -> tuple[str, dict[str, str]]:
    """Return what llama-server is told of devices, on its line and in its environment."""
    settings = settings_of(Runner.LLAMA_SERVER, context_tokens=4096, devices=devices)
    flags = flags_of(settings, names={uid.replace("_", "-"): name for uid, name in names.items()})
    told = " ".join(flags.arguments).removeprefix("--ctx-size 4096 --n-gpu-layers 999").strip()
    return told, dict(flags.environment)


def test_devices_without_a_known_number_are_chosen_by_what_a_program_is_let_see() -> None:
    assert server(*TWO) == (
        "--tensor-split 20,13",
        {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"},
    )
    assert server(Device(uid="GPU-0123456789abcdef", backend=Backend.ROCM)) == (
        "",
        {"ROCR_VISIBLE_DEVICES": "GPU-0123456789abcdef"},
    )


@pytest.mark.parametrize(
    ("uid", "backend"), [("GPU-a", Backend.VULKAN), ("0000:03:00.0", Backend.ROCM)]
)
def test_a_device_that_nothing_can_name_is_left_to_the_runner(uid: str, backend: Backend) -> None:
    assert server(Device(uid=uid, backend=backend)) == ("", {})


def test_a_name_is_of_one_backend() -> None:
    # To a build for Vulkan alone CUDA0 is no device, and it would not start.
    assert server(Device(uid="GPU-a", backend=Backend.VULKAN), GPU_a="CUDA0") == ("", {})
    assert server(*ONE, GPU_a="CUDA0") == ("--device CUDA0", {})


def test_what_llama_cpp_calls_a_device_is_told_from_its_number_in_cuda() -> None:
    cards = (
        gpu("GPU-a", cuda_index=1),
        gpu("GPU-b", cuda_index=None),
        gpu("GPU-c", cuda_index=0),
    )

    assert list(device_names(snapshot(*cards)).items()) == [("GPU-c", "CUDA0"), ("GPU-a", "CUDA1")]


def test_the_only_card_that_rocm_has_is_its_first() -> None:
    cards = tuple(gpu(f"GPU-{at}", vendor="amd") for at in range(2))

    assert device_names(snapshot(*cards)) == {}
    assert device_names(snapshot(cards[0])) == {"GPU-0": "ROCm0"}


@pytest.mark.parametrize(
    ("runner", "changes", "flags"),
    [
        (
            Runner.LLAMA_BENCH,
            {"devices": TWO, "cache_on_devices": False, "embeddings": True},
            Flags(
                arguments=(
                    *("--n-gpu-layers", "999", "--device", "CUDA0/CUDA1"),
                    *("--tensor-split", "20/13", "--no-kv-offload", "1", "--embeddings", "1"),
                )
            ),
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
            Runner.LLAMA_CPP_PYTHON,
            {"embeddings": True},
            Flags(
                parameters=FrozenDict(
                    n_ctx="8192", n_gpu_layers="0", split_mode="0", main_gpu="-1", embedding="True"
                )
            ),
        ),
        (
            Runner.OLLAMA,
            {"devices": ONE, "sequences": 2, **Q8},
            Flags(
                environment=FrozenDict(
                    CUDA_VISIBLE_DEVICES="GPU-a",
                    OLLAMA_NUM_PARALLEL="2",
                    OLLAMA_FLASH_ATTENTION="1",
                    OLLAMA_KV_CACHE_TYPE="q8_0",
                ),
                parameters=FrozenDict(num_ctx="4096", num_batch="512", num_gpu="999"),
            ),
        ),
        (
            Runner.OLLAMA,
            {"devices": TWO, "flash_attention": FlashAttention.OFF},
            Flags(
                environment=FrozenDict(OLLAMA_NUM_PARALLEL="1", OLLAMA_FLASH_ATTENTION="0"),
                parameters=FrozenDict(num_ctx="8192", num_batch="512"),
            ),
        ),
        (
            Runner.LM_STUDIO,
            {"devices": ONE, "device_layers": 12, "flash_attention": FlashAttention.ON},
            Flags(
                arguments=("--context-length", "8192", "--gpu", "0.5", "--parallel", "4"),
                parameters=FrozenDict(flashAttention="true"),
            ),
        ),
        (
            Runner.VLLM,
            {"devices": TWO, "sequences": 4, "memory_share": 0.8, "batch_tokens": 4096},
            Flags(
                arguments=(
                    *("--max-model-len", "2048", "--max-num-seqs", "4"),
                    *("--tensor-parallel-size", "2", "--gpu-memory-utilization", "0.8"),
                    *("--max-num-batched-tokens", "4096"),
                )
            ),
        ),
        (
            Runner.TRANSFORMERS,
            {"devices": ONE},
            Flags(
                environment=FrozenDict(CUDA_VISIBLE_DEVICES="GPU-a"),
                parameters=FrozenDict(device_map="auto"),
            ),
        ),
        (Runner.TRANSFORMERS, {}, Flags(parameters=FrozenDict(device_map="cpu"))),
    ],
)
def test_every_runner_is_told_in_its_own_words(
    runner: Runner, changes: dict[str, Any], flags: Flags
) -> None:
    settings = settings_of(runner, context_tokens=8192, **changes)

    assert flags_of(settings, names=NAMES, blocks=24) == flags


@pytest.mark.parametrize("runner", Runner)
def test_there_is_no_runner_without_flags(runner: Runner) -> None:
    flags = flags_of(settings_of(runner, context_tokens=4096, devices=ONE))

    assert flags.arguments or flags.environment or flags.parameters
