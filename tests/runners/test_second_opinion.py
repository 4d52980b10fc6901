from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runners.machines import machine
from vramline.fit.settings import ALL_LAYERS, Device, FlashAttention, Runner, Settings, settings_of
from vramline.fit.tensor_types import TensorType
from vramline.machine import RecordedMachine
from vramline.runners import SecondOpinion, second_opinion
from vramline.runners.second_opinion import MIB, Opinion, options, parse

PROGRAM = "/opt/llama/llama-fit-params"
MODEL = "/srv/models/tiny.gguf"
# tools/fit-params/README.md, and common_fit_print in common/fit.cpp
PRINTED = "CUDA0 17904 384 898 \nCUDA1 0 0 0 \nHost 58259 0 12 \n"
SETTINGS = Settings(context_tokens=4096)
COMMAND = (PROGRAM, "--model", MODEL, "--fit-print", "on", *options(SETTINGS))
OPINIONS = (
    Opinion(
        place="CUDA0", model_bytes=17904 * MIB, context_bytes=384 * MIB, compute_bytes=898 * MIB
    ),
    Opinion(place="CUDA1", model_bytes=0, context_bytes=0, compute_bytes=0),
    Opinion(place="Host", model_bytes=58259 * MIB, context_bytes=0, compute_bytes=12 * MIB),
)


def with_program(outcome: Any) -> RecordedMachine:
    from vramline.machine.keys import command_key

    return machine(which={"llama-fit-params": PROGRAM}, programs={command_key(COMMAND): outcome})


def failure(outcome: Any) -> str | None:
    told = second_opinion(with_program(outcome), MODEL, SETTINGS)
    assert told is not None
    assert told == SecondOpinion(command=COMMAND, failure=told.failure)
    return told.failure


def test_where_it_is_not_installed_there_is_none() -> None:
    assert second_opinion(machine(), MODEL, SETTINGS) is None


def test_its_rows_are_read() -> None:
    assert second_opinion(with_program(PRINTED), MODEL, SETTINGS) == SecondOpinion(
        command=COMMAND, places=OPINIONS
    )


def test_what_it_logs_among_its_rows_is_passed_over() -> None:
    logged = "ggml_cuda_init: found 1 CUDA devices:\n  Device 0: RTX 1 2 3\n\n"

    assert parse(logged + PRINTED.replace("\n", "\r\n")) == OPINIONS


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        ("-c 4096 -ngl 48\n", "llama-fit-params printed nothing that could be read"),
        ("", "llama-fit-params printed nothing that could be read"),
        (
            {"exit": 1, "errors": "load: ...\nfailed to load model\x1b[0m\n\n"},
            "llama-fit-params failed with status 1: failed to load model[0m",
        ),
        ({"exit": -6}, "llama-fit-params failed with status -6"),
        ({"timeout_seconds": 30}, "llama-fit-params did not end within 30 seconds"),
    ],
)
def test_why_it_told_nothing_is_told(outcome: Any, why: str) -> None:
    assert failure(outcome) == why


def test_a_program_that_cannot_be_started_is_told() -> None:
    told = failure({"errno": "EACCES"})

    assert told is not None
    assert told.startswith("llama-fit-params could not be started: ")


@given(st.text(alphabet="Host CUDA0123456789-.\u0661\r\n\t ", max_size=200))
def test_no_output_gives_an_absurd_row(text: str) -> None:
    for row in parse(text):
        assert all(
            0 <= each < 2**60 for each in (row.model_bytes, row.context_bytes, row.compute_bytes)
        )


def test_settings_become_its_options() -> None:
    settings = Settings(
        context_tokens=8192,
        batch_tokens=1024,
        micro_batch_tokens=256,
        sequences=2,
        full_window_cache=True,
        flash_attention=FlashAttention.ON,
        cache_type_k=TensorType.Q8_0,
        cache_type_v=TensorType.Q4_0,
        devices=(Device(uid="a", share=3.0), Device(uid="b", share=1.5)),
        device_layers=20,
        host_expert_layers=4,
        cache_on_devices=False,
        repack=False,
    )

    assert " ".join(options(settings)) == (
        "--ctx-size 8192 --batch-size 1024 --ubatch-size 256 --parallel 2 --flash-attn on"
        " --cache-type-k q8_0 --cache-type-v q4_0 --gpu-layers 20 --tensor-split 3,1.5"
        " --n-cpu-moe 4 --swa-full --no-kv-offload --no-repack"
    )


def test_without_a_device_it_is_to_use_none() -> None:
    assert " ".join(options(Settings(host_expert_layers=ALL_LAYERS))).endswith(
        "--gpu-layers 0 --device none --cpu-moe"
    )


def test_what_it_cannot_be_told_is_said() -> None:
    settings = settings_of(Runner.LLAMA_SERVER, context_tokens=4096, devices=(Device(uid="a"),))
    command = (PROGRAM, "--model", MODEL, "--fit-print", "on", *options(settings))
    there = machine(which={"llama-fit-params": PROGRAM})

    told = second_opinion(there, MODEL, settings)

    assert told is not None
    assert told.command == command
    assert told.differs == (
        "one cache for all sequences, whose sliding windows are larger",
        "how many tokens of a batch ask for logits",
        "which devices: it takes all that it sees",
    )
