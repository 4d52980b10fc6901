import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from vramline.errors import ModelNameError
from vramline.fit.library import FileFormat, FoundModel, Source, find_model

FOLDER = os.path.abspath("models")


def model(name: str, **changes: object) -> FoundModel:
    fields: dict[str, object] = {
        "name": name,
        "source": Source.FOLDER,
        "format": FileFormat.GGUF,
        "path": os.path.join(FOLDER, f"{name.replace(':', '-')}.gguf"),
        "paths": (),
        "file_bytes": 1,
    }
    return FoundModel(**{**fields, **changes})  # type: ignore[arg-type]


MODELS: Sequence[FoundModel] = (
    model("llama3.2:3b", other_names=("mine:latest",)),
    model("llama3.2:latest"),
    model("bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M", quantisation="Q4_K_M"),
    model("bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q8_0", quantisation="Q8_0"),
    model("TheBloke/Mistral-7B"),
    model("Phi-4", path=os.path.join(FOLDER, "phi-4-00001-of-00002.gguf")),
    model("broken-phi"),
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("llama3.2:3b", "llama3.2:3b"),
        ("LLAMA3.2:3B", "llama3.2:3b"),
        ("llama3.2", "llama3.2:latest"),
        ("mine", "llama3.2:3b"),
        ("bartowski/Qwen3-8B-GGUF:Q8_0", "bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q8_0"),
        ("qwen3-8b-gguf:q8_0", "bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q8_0"),
        ("Qwen3-8B-Q4_K_M", "bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M"),
        ("TheBloke/Mistral-7B", "TheBloke/Mistral-7B"),
        ("thebloke", "TheBloke/Mistral-7B"),
        ("3b", "llama3.2:3b"),
        ("phi-4-00001-of-00002", "Phi-4"),
        ("phi-4-00001-of-00002.gguf", "Phi-4"),
        (" mistral ", "TheBloke/Mistral-7B"),
        ("phi-4", "Phi-4"),
        (os.path.join(FOLDER, "Phi-4.gguf"), None),
        (os.path.join(FOLDER, "broken-phi.gguf"), "broken-phi"),
        (os.path.join("models", "phi-4-00001-of-00002.gguf"), "Phi-4"),
    ],
)
def test_a_model_has_many_names(name: str, found: str | None) -> None:
    if found is None:
        with pytest.raises(ModelNameError):
            find_model(MODELS, name)
    else:
        assert find_model(MODELS, name).name == found


def test_what_several_models_share_is_told_with_all_of_them() -> None:
    with pytest.raises(ModelNameError) as caught:
        find_model(MODELS, "bartowski/Qwen3-8B-GGUF")

    assert str(caught.value) == (
        "bartowski/Qwen3-8B-GGUF may mean 2 models here: bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M,"
        " bartowski/Qwen3-8B-GGUF/Qwen3-8B-Q8_0. Give more of the name, or the path."
    )
    assert caught.value.matches == (MODELS[2].name, MODELS[3].name)


def test_many_that_are_meant_are_not_all_shown() -> None:
    many = [model(f"a-{number}") for number in range(9)]

    with pytest.raises(ModelNameError, match=r"9 models here: a-0, .*, a-4, and 4 more\."):
        find_model(many, "a")


def test_one_that_can_be_run_goes_before_those_that_cannot() -> None:
    models = [model("a-1", problem="broken"), model("a-2"), model("a-3", problem="broken")]

    assert find_model(models, "a").name == "a-2"
    assert find_model(models[:1], "a-1").problem == "broken"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("lamma3.2:3b", "Near it are llama3.2:3b"),
        ("Mistral-8B", "Near it are TheBloke/Mistral-7B."),
        ("zzzz", "vramline models lists those that there are."),
        ("", "vramline models lists those that there are."),
        ("a\nb" * 999, "vramline models lists those that there are."),
    ],
)
def test_a_name_that_none_has_is_told_with_what_is_near(name: str, advice: str) -> None:
    with pytest.raises(ModelNameError) as caught:
        find_model(MODELS, name)

    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_any_model_a_path_is_asked_for() -> None:
    with pytest.raises(ModelNameError, match="No models were found at all"):
        find_model([], "llama3")


def test_names_and_paths_that_differ_in_case_alone_can_be_told_apart(tmp_path: Path) -> None:
    small, large = (model(name, path=str(tmp_path / name / "m.gguf")) for name in ("a", "A"))

    for each in (small, large):
        assert find_model([small, large], each.name) is each
        assert find_model([small, large], each.path) is each


def test_a_path_is_found_from_a_folder_with_capitals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Models").mkdir()
    monkeypatch.chdir(tmp_path / "Models")
    found = model("x/y", path=os.path.abspath("Tiny.gguf"))

    assert find_model([found], os.path.join(".", "Tiny.gguf")) is found
    assert find_model([found], os.path.join(".", "tiny.gguf")) is found


def test_a_path_means_every_part(tmp_path: Path) -> None:
    paths = tuple(str(tmp_path / f"Big-{part}.gguf") for part in (1, 2))
    big = model("big", path=paths[0], paths=paths)

    assert find_model([big, *MODELS], paths[1]) is big
