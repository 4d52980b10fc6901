"""What a program gets, and that ``docs/fit.md`` has a word for every part of it."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from tests.test_project import ROOT
from vramline.cli import run
from vramline.cli.fit.lessons import KEY, learned_store
from vramline.cli.fit.setting_options import SETTINGS
from vramline.fit.learned import Learned, Sample, to_document
from vramline.fit.settings import HOST, Backend, Runner
from vramline.readings import Snapshot
from vramline.units import MIB

PAGE = (ROOT / "docs" / "fit.md").read_text("utf-8")
TOLD = set(re.findall(r"`([a-z_]+)`", PAGE))

FREE_NAMES = frozenset(("places", "bytes_at", "claims", "environment", "parameters", "not_asked"))
"""What is in these is called after something else: places, variables, runners."""


def names_in(document: Any) -> set[str]:
    if isinstance(document, list):
        return set().union(*map(names_in, document))
    if not isinstance(document, dict):
        return set()
    inner = [
        names_in(list(value.values()) if key in FREE_NAMES and isinstance(value, dict) else value)
        for key, value in document.items()
    ]
    return set(document).union(*inner)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VRAMLINE_HOME", str(tmp_path / "kept"))
    return tmp_path


@pytest.mark.parametrize(
    ("snapshot", "arguments"),
    [
        (LARGE_CARD, ("fit", "MODEL")),
        (SMALL_CARD, ("fit", header("mixtral-8x7b"))),
        (SMALL_CARD, ("fit", header("qwen2.5-7b"), "-ngl", "99", "-c", "8192")),
        (SMALL_CARD, ("fit", header("llama3.1-8b"), "--keep-host", "16GiB", "-c", "64k")),
        (NO_CARD, ("fit", "MODEL", "--on", "cuda")),
        (LARGE_CARD, ("models", "FOLDER")),
        (SMALL_CARD, ("models", "FOLDER")),
    ],
)
def test_every_name_is_explained(
    snapshot: Snapshot,
    arguments: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = {"MODEL": a_model(tmp_path), "FOLDER": str(tmp_path)}
    words = [place.get(word, word) for word in arguments]

    _, output, errors = ask(capsys, recording(tmp_path), snapshot, *words, "--json")

    assert errors == ""
    assert names_in(json.loads(output)) - TOLD == set()


def test_every_option_is_explained() -> None:
    flags = {flag for row in SETTINGS for flag in row.flags}
    others = "--runner --keep-free --keep-host --need --on --second-opinion --learned --forget"
    others += " --measure --device --tensor-split --mmproj --from --host-root"

    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", PAGE))

    assert (flags | set(others.split())) - told == set()


def test_a_need_is_told_by_part_and_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("fit", a_model(tmp_path), "--on", "cuda", "-c", "512", "--json")

    status, output, _ = ask(capsys, recording(tmp_path), NO_CARD, *words)

    found = json.loads(output)
    weights = [each for each in found["need"]["items"] if each["part"] == "weights"]
    assert status == 0
    assert found["fits"] is None
    assert weights == [
        {
            "part": "weights",
            "place": "host",
            "bytes": 512000,
            "low_bytes": 512000,
            "high_bytes": 512000,
            "mapped": True,
            "rule": weights[0]["rule"],
        },
        {
            "part": "weights",
            "place": "cuda0",
            "bytes": 3136000,
            "low_bytes": 3136000,
            "high_bytes": 3136000,
            "mapped": False,
            "rule": weights[1]["rule"],
        },
    ]
    assert found["settings"]["devices"] == [{"uid": "cuda0", "backend": "cuda", "share": 1.0}]


def learned(runner: Runner, size: int) -> Learned:
    return Learned(
        runner=runner,
        backend=Backend.CUDA,
        place=HOST,
        driver_version="580.65.06",
        samples=(Sample(bytes=size, at=datetime(2026, 1, 2, tzinfo=UTC)),),
        times=1,
    )


def test_what_was_learned_is_told_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    known = (learned(Runner.OLLAMA, 100 * MIB), learned(Runner.LLAMA_SERVER, 200 * MIB))
    learned_store().write({KEY: json.dumps(to_document(known)).encode()})

    statuses = [run(["fit", "--learned"])]
    pages = [capsys.readouterr().out]
    for words in (["--forget", "ollama"], ["--learned", "--json"], ["--forget"], ["--learned"]):
        statuses.append(run(["fit", *words]))
        pages.append(capsys.readouterr().out)

    assert statuses == [0] * 5
    assert pages[0] == (
        "runner        place  through              takes beside the model  loads        last\n"
        "Ollama        host   cuda      100.0 MiB (75.0 MiB to 125.0 MiB)      1  2026-01-02\n"
        "llama-server  host   cuda     200.0 MiB (150.0 MiB to 250.0 MiB)      1  2026-01-02\n"
    )
    assert pages[1] == "Forgot 1 figure.\n"
    assert json.loads(pages[2])["learned"] == [
        {
            "runner": "llama-server",
            "backend": "cuda",
            "place": "host",
            "driver_version": "580.65.06",
            "bytes": 200 * MIB,
            "low_bytes": 150 * MIB,
            "high_bytes": 250 * MIB,
            "times": 1,
            "last_at": "2026-01-02T00:00:00Z",
        }
    ]
    assert names_in(json.loads(pages[2])) - TOLD == set()
    assert pages[3:] == ["Forgot 1 figure.\n", "Nothing was learned on this machine yet.\n"]
