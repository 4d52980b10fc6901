import json
import os
import sys
from pathlib import Path

import pytest

from tests.fit.library.disk import put
from vramline.fit.library import Place, Source, places_of


def paths(source: Source, environ: dict[str, str], platform: str = "linux") -> list[str]:
    return [place.path for place in places_of(environ, platform) if place.source is source]


@pytest.mark.parametrize(
    ("source", "platform", "environ", "expected"),
    [
        (Source.OLLAMA, "darwin", {"HOME": "/h"}, ["/h/.ollama/models"]),
        (Source.OLLAMA, "win32", {"USERPROFILE": "/u"}, ["/u/.ollama/models"]),
        (
            Source.OLLAMA,
            "darwin",
            {"HOME": "/h", "OLLAMA_MODELS": "/big"},
            ["/big", "/h/.ollama/models"],
        ),
        (
            Source.LM_STUDIO,
            "darwin",
            {"HOME": "/h"},
            ["/h/.lmstudio/models", "/h/.cache/lm-studio/models"],
        ),
        (Source.HUGGING_FACE, "linux", {"HOME": "/h"}, ["/h/.cache/huggingface/hub"]),
        (Source.HUGGING_FACE, "linux", {"HOME": "/h", "HF_HOME": "/hf"}, ["/hf/hub"]),
        (Source.HUGGING_FACE, "linux", {"HOME": "/h", "HF_HOME": "~/hf"}, ["/h/hf/hub"]),
        (
            Source.HUGGING_FACE,
            "linux",
            {"HOME": "/h", "HF_HOME": "/hf", "HF_HUB_CACHE": "/hub"},
            ["/hub"],
        ),
        (
            Source.HUGGING_FACE,
            "linux",
            {"HOME": "/h", "XDG_CACHE_HOME": "/c"},
            ["/c/huggingface/hub"],
        ),
        (Source.LLAMA_CPP, "linux", {"HOME": "/h"}, ["/h/.cache/llama.cpp"]),
        (Source.LLAMA_CPP, "linux", {"HOME": "/h", "XDG_CACHE_HOME": "/c"}, ["/c/llama.cpp"]),
        (Source.LLAMA_CPP, "darwin", {"HOME": "/h"}, ["/h/Library/Caches/llama.cpp"]),
        (Source.LLAMA_CPP, "win32", {"LOCALAPPDATA": "/l"}, ["/l/llama.cpp"]),
        (Source.LLAMA_CPP, "win32", {"LOCALAPPDATA": "/l", "LLAMA_CACHE": "/x"}, ["/x"]),
    ],
)
def test_each_program_has_its_places(
    source: Source, platform: str, environ: dict[str, str], expected: list[str]
) -> None:
    assert paths(source, environ, platform) == expected


def test_ollamas_service_has_places_of_its_own() -> None:
    found = paths(Source.OLLAMA, {"HOME": "/h"})

    assert found[:2] == ["/h/.ollama/models", "/usr/share/ollama/.ollama/models"]


def test_lm_studio_may_have_been_moved(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    put(tmp_path / ".lmstudio-home-pointer", f"{moved}\n")
    put(moved / "settings.json", json.dumps({"downloadsFolder": "/big/disk"}))

    assert paths(Source.LM_STUDIO, {"HOME": str(tmp_path)})[:2] == [
        "/big/disk",
        str(moved / "models"),
    ]


@pytest.mark.parametrize(
    "text", ["", "[", "[" * 100_000, "[]", '{"downloadsFolder": 3}', '{"downloadsFolder": "x"}']
)
def test_settings_that_are_none_change_nothing(tmp_path: Path, text: str) -> None:
    put(tmp_path / ".lmstudio" / "settings.json", text)
    put(tmp_path / ".lmstudio-home-pointer", text)

    assert paths(Source.LM_STUDIO, {"HOME": str(tmp_path)}) == [
        str(tmp_path / ".lmstudio" / "models"),
        str(tmp_path / ".cache" / "lm-studio" / "models"),
    ]


def test_given_folders_come_last_and_once() -> None:
    found = places_of({"HOME": "/h"}, "linux", ["models", os.path.abspath("models")])

    assert found[-1] == Place(source=Source.FOLDER, path=os.path.abspath("models"))
    assert [place.source for place in found].count(Source.FOLDER) == 1


def test_a_pipe_where_settings_should_be_does_not_wait(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such files")
    (tmp_path / ".lmstudio").mkdir()
    os.mkfifo(tmp_path / ".lmstudio" / "settings.json")
    os.mkfifo(tmp_path / ".lmstudio-home-pointer")

    assert paths(Source.LM_STUDIO, {"HOME": str(tmp_path)}) == [
        str(tmp_path / ".lmstudio" / "models"),
        str(tmp_path / ".cache" / "lm-studio" / "models"),
    ]
