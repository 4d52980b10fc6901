# ruff: noqa: E501 - a command stands in one line, to be copied
"""``vramline models``: as a new user asks it, and what becomes of what cannot be run."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.fit.machines import (
    LARGE_CARD,
    NO_CARD,
    SMALL_CARD,
    a_model,
    ask,
    header,
    recording,
)
from tests.fit.files import write
from tests.snapshots import a_snapshot
from vramline.cli.fit.here import look_around
from vramline.cli.fit.options import FitOptions
from vramline.cli.models import as_text
from vramline.cli.models.listing import listing_of
from vramline.fit.library import Library, Place, Source, header_of, look
from vramline.machine import RecordedMachine
from vramline.readings import HostReading, Snapshot
from vramline.store import Store

TEN = (
    "deepseek-v2-lite",
    "gemma2-2b",
    "gemma3-4b",
    "gpt-oss-20b",
    "llama3.1-8b",
    "llama3.2-1b",
    "mixtral-8x7b",
    "phi4-14b",
    "qwen2.5-7b",
    "qwen3-30b-a3b",
)


def ten_models(folder: Path) -> Library:
    """Ten models on a disk, as they would be found there. Their weights are not here."""
    for name in TEN:
        shutil.copy(header(name), folder / f"{name}-Q4_K_M.gguf")
    places = (Place(source=Source.FOLDER, path=str(folder)),)
    found = look(places, Store(folder=str(folder.parent / "kept"), name="library"))
    whole = (
        replace(each, problem=None, file_bytes=each.file_bytes + header_of(each).missing_bytes)
        for each in found.models
    )
    return replace(found, models=tuple(whole))


def told(folder: Path, snapshot: Snapshot, options: FitOptions | None = None) -> tuple[bool, str]:
    """Return whether anything fits, and the page, without the folder's name."""
    machine = RecordedMachine.from_dict(Path(recording(folder)).read_bytes())
    models = folder / "models"
    models.mkdir()
    found = ten_models(models)
    here = look_around(machine, lambda _: snapshot)
    listing = listing_of(found, here, options or FitOptions())
    text = as_text(listing, found, here, (), "")
    return listing.best is not None, text.replace(str(models), "/models")


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRAMLINE_HOME", str(tmp_path / "kept"))
    monkeypatch.setenv("COLUMNS", "80")


def test_a_small_card_that_a_browser_holds_a_part_of(tmp_path: Path) -> None:
    assert told(tmp_path, SMALL_CARD) == (True, SMALL)


SMALL = """\
Run gemma3-4b-Q4_K_M: the best model here that fits on the GPU, with a context
of 8,192 tokens. It makes 37 to 153 tokens a second.

  llama-server --model /models/gemma3-4b-Q4_K_M.gguf --ctx-size 8192 --parallel 1 --n-gpu-layers 999 --device CUDA0

qwen2.5-7b-Q4_K_M would be better, but misses by 984.4 MiB on the GPU; it would
fit if firefox (pid 4242) were closed.
llama3.1-8b-Q4_K_M would be better, but misses by 1.5 GiB on the GPU; it would
fit if firefox (pid 4242) were closed.
On the GPU, firefox (pid 4242) holds 3.0 GiB and Xorg (pid 900) holds 200.0 MiB.

model                        size  context  runs on
gemma3-4b-Q4_K_M          2.3 GiB  131,072  GPU
gemma2-2b-Q4_K_M          1.6 GiB    8,192  GPU
llama3.2-1b-Q4_K_M        1.2 GiB  131,072  GPU
qwen3-30b-a3b-Q4_K_M     17.3 GiB  262,144  GPU, experts of 43 layers on CPU
gpt-oss-20b-Q4_K_M       11.3 GiB  131,072  GPU, experts of 20 layers on CPU
deepseek-v2-lite-Q4_K_M   9.7 GiB  163,840  GPU, experts of 21 layers on CPU
phi4-14b-Q4_K_M           8.2 GiB   16,384  GPU + 28 layers on CPU
llama3.1-8b-Q4_K_M        4.6 GiB  131,072  GPU + 13 layers on CPU
qwen2.5-7b-Q4_K_M         4.4 GiB  131,072  GPU + 9 layers on CPU
mixtral-8x7b-Q4_K_M      26.3 GiB   32,768  no: misses by 9.5 GiB
"""


def test_without_a_card_and_with_little_memory(tmp_path: Path) -> None:
    assert told(tmp_path, NO_CARD, FitOptions(keep_host_bytes=14 * 2**30)) == (True, LITTLE)


LITTLE = """\
Run gemma3-4b-Q4_K_M: the best model here that fits on the processor, with a
context of 8,192 tokens.

  llama-server --model /models/gemma3-4b-Q4_K_M.gguf --ctx-size 8192 --parallel 1 --n-gpu-layers 0 --device none

qwen2.5-7b-Q4_K_M would be better, but misses by 1.8 GiB on the host.
llama3.1-8b-Q4_K_M would be better, but misses by 2.3 GiB on the host.

model                        size  context  runs on
gemma3-4b-Q4_K_M          2.3 GiB  131,072  CPU
gemma2-2b-Q4_K_M          1.6 GiB    8,192  CPU
llama3.2-1b-Q4_K_M        1.2 GiB  131,072  CPU
qwen2.5-7b-Q4_K_M         4.4 GiB  131,072  no: misses by 1.8 GiB
llama3.1-8b-Q4_K_M        4.6 GiB  131,072  no: misses by 2.3 GiB
phi4-14b-Q4_K_M           8.2 GiB   16,384  no: misses by 6.3 GiB
deepseek-v2-lite-Q4_K_M   9.7 GiB  163,840  no: misses by 6.9 GiB
gpt-oss-20b-Q4_K_M       11.3 GiB  131,072  no: misses by 8.5 GiB
qwen3-30b-a3b-Q4_K_M     17.3 GiB  262,144  no: misses by 14.8 GiB
mixtral-8x7b-Q4_K_M      26.3 GiB   32,768  no: misses by 24.0 GiB
"""


def test_where_nothing_fits(tmp_path: Path) -> None:
    fits, text = told(tmp_path, NO_CARD, FitOptions(keep_host_bytes=2**40))

    assert not fits
    assert text.startswith(
        "None of the models here fits what is free now.\n"
        "llama3.2-1b-Q4_K_M comes nearest, and misses by 1008.5 GiB on the host.\n\n"
    )


def test_where_nothing_fits_who_holds_memory_and_what_would_help_is_told(tmp_path: Path) -> None:
    host = replace(SMALL_CARD.host, memory_available_bytes=27 * 2**30 // 10)
    options = FitOptions(keep_free_bytes=4 * 2**30)
    fits, text = told(tmp_path, replace(SMALL_CARD, host=host), options)

    assert not fits
    assert text.splitlines()[:6] == [
        "None of the models here fits what is free now.",
        "llama3.2-1b-Q4_K_M comes nearest, and misses by 706.5 MiB on the host and 85.2",
        "MiB on the GPU.",
        "On the GPU, firefox (pid 4242) holds 3.0 GiB and Xorg (pid 900) holds 200.0 MiB.",
        "What would help: it would fit if firefox (pid 4242) were closed: all of it on",
        "the GPU.",
    ]


def test_where_nobody_tells_what_is_free_nothing_is_said_to_miss(tmp_path: Path) -> None:
    fits, text = told(tmp_path, a_snapshot(host=HostReading()))

    assert not fits
    assert text.startswith("Whether any of the models here fits is not known.\n\n")
    assert {line.split()[-2:][0] for line in text.splitlines()[3:13]} == {"not"}
    assert text.endswith("\nWhat is free on the host is not known.\n")


def test_a_runner_that_loads_none_of_them_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    a_model(tmp_path)
    words = ("models", str(tmp_path), "--runner", "vllm")

    status, output, _ = ask(capsys, recording(tmp_path), LARGE_CARD, *words)
    _, document, _ = ask(capsys, recording(tmp_path), LARGE_CARD, *words, "--json")

    why = "vllm does not load gguf files: --runner llama-server does"
    assert status == 1
    assert f"There is no model here that can be run.\n\n1 model left out: {why}\n" in output
    assert json.loads(document)["left_out"] == [{"count": 1, "why": why}]


def test_what_makes_no_text_is_not_the_best(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    a_model(tmp_path, layers=1)
    a_model(tmp_path, "reader", layers=9, causal=False)

    _, output, _ = ask(capsys, recording(tmp_path), LARGE_CARD, "models", str(tmp_path))

    lines = output.splitlines()
    assert lines[2].startswith("Run tiny (F16): ")
    assert [line.split()[-1] for line in lines[-2:]] == ["GPU", "(embeddings)"]


def test_the_command_lists_finds_and_names_what_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    models = tmp_path / "models"
    models.mkdir()
    a_model(models)
    write(models / "broken.gguf", b"GGUF" + bytes(20))
    write(models / "begun.gguf.part", b"")
    machine = recording(tmp_path)

    status, output, errors = ask(
        capsys, machine, LARGE_CARD, "models", str(models), str(tmp_path / "no"), "--json", "--all"
    )

    found = json.loads(output)
    assert (status, errors) == (0, "")
    assert (found["best"]["name"], found["best"]["runner"]) == ("tiny", "llama-server")
    assert {each["name"] for each in found["broken"]} >= {"broken", "begun"}
    assert {"source": "folder", "path": str(models)} in found["places"]
    assert found["unreadable"] == [
        {
            "source": "folder",
            "path": str(tmp_path / "no"),
            "reason": "there is no such file or folder",
        }
    ]
    assert found["start"]["arguments"][:2] == ["--ctx-size", "8192"]


def test_the_page_tells_what_is_broken_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    models = tmp_path / "models"
    models.mkdir()
    a_model(models)
    write(models / "begun.gguf.part", b"")

    status, output, _ = ask(capsys, recording(tmp_path), LARGE_CARD, "models", str(models))

    assert status == 0
    assert "Cannot be run: begun: the download is not finished: 0 B so far\n" in output


def test_a_name_means_the_model_that_the_list_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "home" / ".lmstudio" / "models" / "me" / "small"
    own.mkdir(parents=True)
    a_model(own, "small-Q4_K_M", layers=1)
    a_model(own, "small-Q8_0")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    machine = recording(tmp_path)

    status, output, _ = ask(capsys, machine, LARGE_CARD, "fit", "small-q8_0", "--json")
    wrong, _, errors = ask(capsys, machine, LARGE_CARD, "fit", "smull-q8_0")

    found = json.loads(output)
    assert status == 0
    assert found["model"]["name"] == "me/small/small-Q8_0"
    assert found["model"]["source"] == "lm-studio"
    assert wrong == 2
    assert errors.startswith("vramline: there is no model smull-q8_0 here. Near it are me/small")


def test_an_empty_disk_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "LLAMA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    status, output, _ = ask(capsys, recording(tmp_path), LARGE_CARD, "models")

    if status == 0:
        pytest.skip("this machine's Ollama has models for all users")
    assert status == 1
    assert "No model was found. Looked in:\n" in output
    assert f"  {os.path.join(str(home), '.ollama', 'models')} (not there)\n" in output
    assert "What would help:" in output
