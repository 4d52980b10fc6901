# ruff: noqa: E501 - a command stands in one line, to be copied
"""What a person reads, whole."""

import os
from pathlib import Path

import pytest

from tests.cli.fit.machines import (
    LARGE_CARD,
    NO_CARD,
    SMALL_CARD,
    TWO_CARDS,
    a_model,
    ask,
    header,
    recording,
)
from tests.fit.files import write
from tests.fit.library.disk import safetensors_folder
from tests.snapshots import a_gpu, a_snapshot, asleep
from vramline.readings import HostReading, Snapshot


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRAMLINE_HOME", str(tmp_path / "kept"))
    monkeypatch.setenv("COLUMNS", "80")


def page(
    capsys: pytest.CaptureFixture[str], folder: Path, snapshot: Snapshot, *arguments: str
) -> tuple[int, str]:
    """Return the exit status and the page, without the lines that the folder's name is in."""
    status, output, errors = ask(capsys, recording(folder), snapshot, *arguments)
    assert errors == ""
    return status, output.replace(str(folder) + os.sep, "").removeprefix("recorded on linux\n\n")


def test_a_model_that_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert page(capsys, tmp_path, LARGE_CARD, "fit", a_model(tmp_path)) == (0, FITS)


FITS = """\
tiny
  F16, 1.82 million parameters, 3.5 MiB, trained on 8,192 tokens

It fits: all of it on the GPU, with a context of 8,192 tokens.

To run it:
  llama-server --model tiny.gguf --ctx-size 8192 --parallel 1 --n-gpu-layers 999 --device CUDA0

what it needs             GPU       host
weights               3.0 MiB  500.0 KiB
context (KV cache)   16.0 MiB
computing            12.5 MiB    9.0 MiB
output                           3.9 KiB
the runner itself   330.0 MiB  170.2 MiB
in all              361.5 MiB  179.7 MiB
at most               1.0 GiB  759.8 MiB
free now             21.5 GiB   17.0 GiB
free afterwards      21.1 GiB   16.8 GiB
to stay free          1.0 GiB    2.0 GiB

What is left, or missing, by context and by the type that the cache is kept in:
context   cache in F16  cache in Q8_0  cache in Q4_0
  4,096  20.2 GiB left  20.2 GiB left  20.2 GiB left
  8,192  20.1 GiB left  20.1 GiB left  20.2 GiB left

To keep earlier prompts it may come to take up to 8.0 GiB more on the host
(--cache-ram MIB limits that).
"""


def test_one_that_does_not_as_it_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", header("qwen2.5-7b"), "-c", "8192", "-ngl", "99")

    assert page(capsys, tmp_path, SMALL_CARD, *words) == (1, MISSES)


MISSES = """\
r-qwen2.5-7b
  Q4_K_M, 7.62 billion parameters, 4.4 GiB, trained on 131,072 tokens
  The file is not whole: 4.4 GiB are missing. It cannot be loaded before they
  are there.

It does not fit: 1.2 GiB are missing on the GPU.
  As it was said: all of it on the GPU, with a context of 8,192 tokens that 4
  slots share.
  GPU (NVIDIA GeForce RTX 3070): 5.0 GiB (4.7 GiB to 5.6 GiB) needed, 4.8 GiB
  free, of which 1.0 GiB are to stay free.
  On the GPU, firefox (pid 4242) holds 3.0 GiB and Xorg (pid 900) holds 200.0
  MiB.
What would fit: 20 of 29 layers on the GPU, the others on the processor, with a
context of 8,192 tokens (that is chosen where -ngl, -ncmoe, -dev, -ts and
--outputs are left out).

what it needs             GPU       host
weights               4.1 GiB  292.4 MiB
context (KV cache)  448.0 MiB
computing           140.0 MiB   22.0 MiB
output                           2.3 MiB
the runner itself   330.0 MiB  193.8 MiB
in all                5.0 GiB  510.5 MiB
at most               5.6 GiB    1.1 GiB
free now              4.8 GiB   17.0 GiB
to stay free          1.0 GiB    2.0 GiB

What is left, or missing, by context and by the type that the cache is kept in:
context         cache in F16        cache in Q8_0         cache in Q4_0
  4,096  no, 962.1 MiB short  no, 857.2 MiB short   no, 801.2 MiB short
  8,192    no, 1.2 GiB short  no, 980.2 MiB short   no, 868.2 MiB short
 16,384    no, 1.6 GiB short    no, 1.2 GiB short  no, 1002.2 MiB short
 32,768    no, 2.5 GiB short    no, 1.7 GiB short     no, 1.2 GiB short
 65,536    no, 4.3 GiB short    no, 2.7 GiB short     no, 1.8 GiB short
131,072    no, 7.8 GiB short    no, 4.7 GiB short     no, 3.0 GiB short

To keep earlier prompts it may come to take up to 8.0 GiB more on the host
(--cache-ram MIB limits that).
"""


def test_one_that_does_not_in_any_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("fit", header("mixtral-8x7b"), "--keep-host", "1GiB")

    assert page(capsys, tmp_path, SMALL_CARD, *words) == (1, REFUSED)


REFUSED = """\
r-mixtral-8x7b
  Q4_K_M, 46.7 billion parameters, 26.3 GiB, trained on 32,768 tokens
  The file is not whole: 26.3 GiB are missing. It cannot be loaded before they
  are there.

It does not fit: 8.0 GiB are missing on the host.
  The nearest try: on the GPU, but for the experts of 30 of 32 layers, which
  stay on the host, with a context of 4,096 tokens, its cache in Q8_0.
  host: 24.0 GiB (23.8 GiB to 24.6 GiB) needed, 17.0 GiB free, of which 1.0 GiB
  are to stay free.
No single change of those that were tried would help.

what it needs             GPU       host
weights               2.5 GiB   23.8 GiB
context (KV cache)  272.0 MiB
computing           467.6 MiB   20.1 MiB
output                         125.0 KiB
the runner itself   330.0 MiB  175.0 MiB
in all                3.6 GiB   24.0 GiB
at most               4.3 GiB   24.6 GiB
free now              4.8 GiB   17.0 GiB
to stay free          1.0 GiB    1.0 GiB

What is left, or missing, by context and by the type that the cache is kept in:
context        cache in F16      cache in Q8_0      cache in Q4_0
  4,096   no, 8.0 GiB short  no, 8.0 GiB short  no, 7.9 GiB short
  8,192   no, 8.7 GiB short  no, 8.0 GiB short  no, 8.0 GiB short
 16,384   no, 9.6 GiB short  no, 8.8 GiB short  no, 8.1 GiB short
 32,768  no, 11.5 GiB short  no, 9.7 GiB short  no, 8.8 GiB short

To keep earlier prompts it may come to take up to 8.0 GiB more on the host
(--cache-ram MIB limits that).
"""


def test_two_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("fit", a_model(tmp_path), "-ts", "1,1", "-np", "2", "-c", "4k")

    assert page(capsys, tmp_path, TWO_CARDS, *words) == (0, TWO)


TWO = """\
tiny
  F16, 1.82 million parameters, 3.5 MiB, trained on 8,192 tokens

It fits: all of it on GPU 0 and GPU 1, with a context of 2,048 tokens for each
of 2 slots.

To run it:
  llama-server --model tiny.gguf --ctx-size 4096 --parallel 2 --n-gpu-layers 999 --device CUDA0,CUDA1 --tensor-split 1,1

what it needs           GPU 0      GPU 1       host
weights               2.5 MiB  500.5 KiB  500.0 KiB
context (KV cache)    8.0 MiB
computing            14.0 MiB   17.9 KiB   10.5 MiB
output                                      7.8 KiB
the runner itself   330.0 MiB  330.0 MiB  170.2 MiB
in all              354.5 MiB  330.5 MiB  181.2 MiB
at most               1.0 GiB    1.0 GiB  761.4 MiB
free now             21.5 GiB   21.5 GiB   17.0 GiB
free afterwards      21.2 GiB   21.2 GiB   16.8 GiB
to stay free          1.0 GiB    1.0 GiB    2.0 GiB

What is left, or missing, by context of a slot and by the type that the cache is
kept in:
context   cache in F16  cache in Q8_0  cache in Q4_0
  2,048  40.3 GiB left  40.3 GiB left  40.3 GiB left
  4,096  40.3 GiB left  40.3 GiB left  40.3 GiB left
  8,192  40.3 GiB left  40.3 GiB left  40.3 GiB left

To keep earlier prompts it may come to take up to 8.0 GiB more on the host
(--cache-ram MIB limits that).
"""


def test_a_device_that_sleeps_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, text = page(
        capsys, tmp_path, a_snapshot(asleep(0)), "fit", a_model(tmp_path), "-c", "4096"
    )

    assert status == 0
    assert text.splitlines()[3] == "It fits: on the processor, with a context of 4,096 tokens."
    assert text.endswith(
        "GPU (NVIDIA GeForce RTX 4090) is left out: it is asleep, and was not woken to\n"
        "ask what is free.\n"
    )


def test_a_device_that_was_named_and_sleeps_leaves_it_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", a_model(tmp_path), "-c", "4096", "--device", "0")

    status, text = page(capsys, tmp_path, a_snapshot(asleep(0)), *words)

    assert status == 1
    assert text.splitlines()[3:9] == [
        "Whether it fits is not known: nobody tells what is free on the GPU (NVIDIA",
        "GeForce RTX 4090).",
        "  As it was said: all of it on the GPU, with a context of 4,096 tokens that 4",
        "  slots share.",
        "What would fit: on the processor, with a context of 4,096 tokens (that is chosen",
        "where -ngl, -ncmoe, -dev, -ts and --outputs are left out).",
    ]
    assert "  4,096     not known      not known      not known\n" in text
    assert text.endswith(
        "What is free on the GPU (NVIDIA GeForce RTX 4090) is not known: the GPU is\n"
        "asleep, and asking would wake it.\n"
    )


@pytest.mark.parametrize(
    ("layers", "status", "verdict"),
    [
        ("99", 0, "It fits: all of it on the GPU,"),
        ("1", 1, "Whether it fits is not known: nobody tells what is free on the host."),
    ],
)
def test_where_nobody_tells_of_the_host_it_depends_on_what_lies_there(
    layers: str, status: int, verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = a_snapshot(a_gpu(0, cuda_index=0), host=HostReading())
    words = ("fit", a_model(tmp_path), "-c", "4096", "-ngl", layers)

    found, text = page(capsys, tmp_path, machine, *words)

    assert found == status
    assert text.splitlines()[3].startswith(verdict)
    assert text.endswith("\nWhat is free on the host is not known.\n")


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ("-ngl 1", "There is no GPU to count with: what was said of its layers does nothing."),
        (
            "-c 64k -np 2",
            (
                "It was trained on 8,192 tokens, and no longer context is planned, though one of\n"
                "32,768 was asked for."
            ),
        ),
    ],
)
def test_what_was_said_for_nothing_is_told(
    arguments: str, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = page(capsys, tmp_path, NO_CARD, "fit", a_model(tmp_path), *arguments.split())

    assert status == 0
    assert f"\n\n{note}\n" in text


def test_a_file_that_is_not_whole_would_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(a_model(tmp_path))
    write(path, path.read_bytes()[:-1000])

    status, text = page(capsys, tmp_path, LARGE_CARD, "fit", str(path))

    assert status == 0
    assert text.splitlines()[2:8] == [
        "  The file is not whole: 1000 B are missing. It cannot be loaded before they are",
        "  there.",
        "",
        "It would fit: all of it on the GPU, with a context of 8,192 tokens.",
        "",
        "To run it, once its file is whole:",
    ]


def test_a_table_that_would_tell_nothing_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, recurrent = page(capsys, tmp_path, LARGE_CARD, "fit", header("mamba-130m"))
    _, refused = page(capsys, tmp_path, LARGE_CARD, "fit", a_model(tmp_path), "-np", "300")

    assert "llama-server does not load it so: 300 sequences" in refused
    assert ["by context" in each for each in (recurrent, refused)] == [False, False]


def test_what_may_be_taken_later_is_set_against_what_will_be_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", a_model(tmp_path), "-c", "4096", "--keep-host", "12GiB")

    _, text = page(capsys, tmp_path, NO_CARD, *words)

    assert text.endswith(
        "To keep earlier prompts it may come to take up to 8.0 GiB more on the host,\n"
        "where 17.0 GiB will be free: --cache-ram 5080 would keep that within bounds.\n"
    )


def test_a_part_on_the_host_has_no_speed_that_could_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, partly = page(capsys, tmp_path, SMALL_CARD, "fit", header("llama3.1-8b"))
    _, whole = page(capsys, tmp_path, SMALL_CARD, "fit", header("llama3.2-1b"))

    assert ["tokens a second" in each for each in (partly, whole)] == [False, True]


def test_what_a_runner_takes_of_a_device_whatever_the_model_needs_is_not_free_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = safetensors_folder(
        tmp_path / "small",
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        vocab_size=1000,
        max_position_embeddings=4096,
        torch_dtype="bfloat16",
    )
    words = ("fit", str(model), "--runner", "vllm", "--gpu-memory-utilization", "0.5")

    status, text = page(capsys, tmp_path, LARGE_CARD, *words)

    assert status == 0
    assert "vLLM takes 12.0 GiB of the GPU, whatever the model needs of it" in text
    free = [line.split()[2:4] for line in text.splitlines() if line.startswith("free afterwards")]
    assert free == [["9.5", "GiB"]]
