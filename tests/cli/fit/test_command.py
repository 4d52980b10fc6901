"""How ``vramline fit`` ends."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.fit.machines import (
    LARGE_CARD,
    SMALL_CARD,
    TWO_CARDS,
    a_model,
    ask,
    header,
    recording,
)
from tests.cli.test_command import COMMAND, LINUX, PLAIN, POSIX
from tests.fit.files import write
from vramline.cli.fit.opinion import opinion_note
from vramline.cli.fit.processor import processor_of
from vramline.fit.amounts import Item, Part, about
from vramline.fit.need import MemoryNeed
from vramline.fit.settings import HOST, Processor
from vramline.machine import RecordedMachine
from vramline.runners import SecondOpinion
from vramline.runners.second_opinion import Opinion
from vramline.units import MIB


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRAMLINE_HOME", str(tmp_path / "kept"))


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("", 0),
        ("-c 4096", 0),
        ("-ngl 1", 0),
        ("--device none", 0),
        ("--device 1,CUDA0 -ts 2,1", 0),
        ("--keep-free 40GiB", 0),
        ("--keep-free 40GiB --keep-host 40GiB", 1),
        ("--keep-free 40GiB -ngl all", 1),
        ("--keep-free 40GiB -ngl all --need", 0),
        ("-fa off -ctv q8_0", 1),
        ("--on cuda -fa off -ctv q8_0", 0),
    ],
)
def test_the_status_says_whether_it_fits(
    arguments: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", a_model(tmp_path), *arguments.split())

    found, output, errors = ask(capsys, recording(tmp_path), TWO_CARDS, *words)

    assert (found, errors) == (status, "")
    assert ("It does not fit" in output) is (status == 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html>", "this is a web page in place of the model: get the file itself"),
        (b"GGUF" + b"\xff" * 64, "GGUF version 4,294,967,295, where 2 and 3 are read"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "18,446,744,073,709,551,615 keys"),
    ],
)
def test_what_is_no_model_is_told_in_one_line(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path / "it.gguf", content))

    status, output, errors = ask(capsys, recording(tmp_path), LARGE_CARD, "fit", path)

    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"vramline: {path}")
    assert message in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--device 7", "--device 7 is not here: there is 0 (GPU-0), 1 (GPU-1)"),
        ("--device 0,GPU-0", "--device 0,GPU-0: one of them is named twice"),
        ("--runner vllm", "vllm does not load gguf files: --runner llama-server does"),
        ("-ts 1,1,1", "--tensor-split has 3 shares for 2 devices"),
        ("--mmproj no/such", f"--mmproj no/such: {os.strerror(2)}"),
    ],
)
def test_a_question_without_an_answer_is_told_in_one_line(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", a_model(tmp_path), *arguments.split())

    assert ask(capsys, recording(tmp_path), TWO_CARDS, *words) == (2, "", f"vramline: {message}\n")


def test_a_projector_is_counted_where_it_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    projector = str(write(tmp_path / "mmproj.gguf", bytes(3 * MIB)))
    words = ("fit", a_model(tmp_path), "--mmproj", projector)

    status, output, _ = ask(capsys, recording(tmp_path), LARGE_CARD, *words)

    assert status == 0
    assert f"--mmproj {projector}" in output
    assert "weights               6.0 MiB  500.0 KiB" in output


def test_who_could_give_memory_back_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", header("qwen2.5-7b"), "-c", "8192", "--device", "0", "-ngl", "all")

    _, output, _ = ask(capsys, recording(tmp_path), SMALL_CARD, *words)

    assert "On the GPU, firefox (pid 4242) holds 3.0 GiB and Xorg" in output


@POSIX
@pytest.mark.parametrize("arguments", [["fit", "--learned"], ["models", "--json"]])
def test_a_closed_pipe_ends_it_quietly(arguments: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        process = subprocess.run(
            [*COMMAND, *arguments],
            env={**PLAIN, "VRAMLINE_HOME": str(tmp_path), "HOME": str(tmp_path)},
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    assert (process.returncode, process.stderr) == (141, "")


@pytest.mark.linux
@LINUX
def test_a_place_that_nothing_can_be_kept_in_is_no_hindrance(tmp_path: Path) -> None:
    process = subprocess.run(
        [*COMMAND, "fit", a_model(tmp_path), "--on", "none", "--json"],
        env={**PLAIN, "VRAMLINE_HOME": "/proc/1/nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f\n", Processor.X86_AVX512),
        ("flags\t\t: fpu avx2\n", Processor.X86),
        ("Features\t: fp asimd asimddp\n", Processor.ARM),
        ("Features\t: fp asimd\n", Processor.PLAIN),
        ("isa\t: rv64imac\n", Processor.X86_AVX512),
    ],
)
def test_the_processor_tells_what_it_can(text: str, expected: Processor) -> None:
    machine = RecordedMachine.from_dict(
        {"format": 1, "platform": "linux", "files": {"/proc/cpuinfo": text}}
    )

    assert processor_of(machine) is expected


def test_a_second_opinion_is_set_against_ours() -> None:
    need = MemoryNeed(
        items=(
            Item(part=Part.WEIGHTS, place="GPU-0", amount=about(900 * MIB), rule=""),
            Item(part=Part.COMPUTE, place="GPU-0", amount=about(100 * MIB), rule=""),
            Item(part=Part.RUNTIME, place="GPU-0", amount=about(300 * MIB), rule=""),
            Item(part=Part.WEIGHTS, place=HOST, amount=about(50 * MIB), rule=""),
        )
    )
    row = {"context_bytes": 0, "compute_bytes": 90 * MIB}
    opinion = SecondOpinion(
        command=("llama-fit-params",),
        places=(
            Opinion(place="CUDA0", model_bytes=900 * MIB, **row),
            Opinion(place="Host", model_bytes=0, context_bytes=0, compute_bytes=50 * MIB),
        ),
        differs=("embeddings",),
    )

    assert opinion_note(opinion, need) == (
        "llama-fit-params says 990.0 MiB on devices (1000.0 MiB above) and 50.0 MiB on the host "
        "(50.0 MiB above). It could not be told of: embeddings."
    )
    failed = SecondOpinion(command=("llama-fit-params",), failure="it failed with status 1")
    assert opinion_note(failed, need) == (
        "A second opinion could not be had: it failed with status 1."
    )


def test_ollamas_own_context_follows_the_memory_of_the_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", a_model(tmp_path), "--runner", "ollama", "-ngl", "all", "--json")

    small = json.loads(ask(capsys, recording(tmp_path), LARGE_CARD, *words)[1])
    said = json.loads(ask(capsys, recording(tmp_path), LARGE_CARD, *words, "-c", "2k")[1])
    large = json.loads(ask(capsys, recording(tmp_path), TWO_CARDS, *words)[1])

    context = "context_tokens"
    assert [each["settings"][context] for each in (small, said, large)] == [32768, 2048, 262144]
