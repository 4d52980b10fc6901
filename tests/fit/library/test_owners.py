"""Each program's folders, and the names that it gives what is in them."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.fit.library.disk import gguf, names, ollama_model, put, safetensors_folder, see
from vramline.fit.library import FileFormat, Library, Source, UnreadablePlace

OURS = "registry.ollama.ai"
REVISION, OTHER = "a" * 40, "b" * 40


def test_ollamas_models_have_the_names_that_it_shows(tmp_path: Path) -> None:
    root = tmp_path / "models"
    for number, name in enumerate(
        (
            f"{OURS}/library/llama3.2/3b",
            f"{OURS}/someone/tiny/latest",
            "hf.co/bartowski/Llama-3.2-1B-GGUF/Q4_K_M",
        )
    ):
        ollama_model(root, name, gguf(str(number)))

    library = see(Source.OLLAMA, root)

    assert names(library) == [
        "hf.co/bartowski/Llama-3.2-1B-GGUF:Q4_K_M",
        "llama3.2:3b",
        "someone/tiny:latest",
    ]
    assert library.models[0].quantisation == "Q4_K_M"
    assert library.unreadable == ()


def test_ollamas_projectors_and_adapters_belong_to_their_models(tmp_path: Path) -> None:
    root = tmp_path / "models"
    blob = ollama_model(root, f"{OURS}/library/llava/7b", gguf(), projector=b"projector")
    ollama_model(root, f"{OURS}/library/mine/latest", gguf(), adapter=b"adapter")
    ollama_model(root, f"{OURS}/library/same/latest", gguf(), license=b"", template=b"{{")
    ollama_model(root, f"{OURS}/library/too/latest", gguf())

    library = see(Source.OLLAMA, root)

    assert [
        (
            model.name,
            model.other_names,
            model.path,
            model.projector_bytes,
            len(model.adapter_paths),
        )
        for model in library.models
    ] == [
        ("llava:7b", (), str(blob), 9, 0),
        ("mine:latest", (), str(blob), 0, 1),
        ("same:latest", ("too:latest",), str(blob), 0, 0),
    ]
    assert library.read_count == 1


def test_a_model_that_ollama_runs_elsewhere_is_not_on_this_disk(tmp_path: Path) -> None:
    ollama_model(tmp_path / "models", f"{OURS}/library/gpt-oss/120b-cloud", None, license=b"")

    assert see(Source.OLLAMA, tmp_path / "models").models == ()


def test_a_model_in_one_file_a_tensor_is_told(tmp_path: Path) -> None:
    ollama_model(tmp_path / "models", f"{OURS}/library/mlx/1b", None, tensor=b"numbers")

    (found,) = see(Source.OLLAMA, tmp_path / "models").models

    assert (found.name, found.format) == ("mlx:1b", FileFormat.SAFETENSORS)
    assert "one file a tensor" in (found.problem or "")


def test_a_blob_that_is_missing_is_told(tmp_path: Path) -> None:
    blob = ollama_model(tmp_path / "models", f"{OURS}/library/gone/1b", gguf())
    assert blob
    blob.unlink()

    (found,) = see(Source.OLLAMA, tmp_path / "models").models

    assert (found.name, found.problem) == ("gone:1b", f"{blob}: there is no such file")


def test_a_pull_that_is_not_finished_is_told(tmp_path: Path) -> None:
    blobs = tmp_path / "models" / "blobs"
    put(blobs / f"sha256-{'c' * 64}-partial", bytes(1024))
    put(blobs / f"sha256-{'c' * 64}-partial-0", b"{}")

    (found,) = see(Source.OLLAMA, tmp_path / "models").models

    assert found.name == "sha256-cccccccccccc"
    assert found.problem == "the download is not finished: 1.0 KiB so far"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "this is no manifest of Ollama's"),
        ("[]", "this is no manifest of Ollama's"),
        ('{"layers": 3}', "this is no manifest of Ollama's"),
        ('{"layers": [3]}', "this is no manifest of Ollama's"),
        ("[" * 100_000, "this is no manifest of Ollama's"),
        ('{"layers": [{"mediaType": "application/vnd.ollama.image.model"}]}', "no manifest"),
        (
            json.dumps(
                {
                    "layers": [
                        {
                            "mediaType": "application/vnd.ollama.image.model",
                            "digest": "sha256:../../../../etc/passwd",
                        }
                    ]
                }
            ),
            "a layer's digest is none",
        ),
    ],
)
def test_a_manifest_that_is_none_is_told_and_hides_no_others(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = put(tmp_path / "models" / "manifests" / OURS / "library" / "bad" / "1b", text)
    ollama_model(tmp_path / "models", f"{OURS}/library/good/1b", gguf())

    library = see(Source.OLLAMA, tmp_path / "models")

    assert names(library) == ["good:1b"]
    (told,) = library.unreadable
    assert told.path == str(path)
    assert reason in told.reason


def test_a_manifest_is_read_again_only_when_it_changes(tmp_path: Path) -> None:
    root = tmp_path / "models"
    name = f"{OURS}/library/tiny/1b"
    ollama_model(root, name, gguf("old"))
    old = see(Source.OLLAMA, root).models[0]
    path = root / "manifests" / name
    before, text = path.stat(), path.read_bytes()
    with path.open("r+b") as file:  # what no program would do, to see that it is not read
        file.write(b"x" * len(text))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert see(Source.OLLAMA, root).models == (old,)

    ollama_model(root, name, gguf("new", layers=3))

    assert see(Source.OLLAMA, root).models[0].path != old.path


def test_lm_studios_models_have_their_publisher_and_repository(tmp_path: Path) -> None:
    root = tmp_path / "models"
    put(root / "us" / "gemma-GGUF" / "gemma-Q4_K_M.gguf", gguf("4"))
    put(root / "us" / "gemma-GGUF" / "gemma-Q8_0.gguf", gguf("8"))
    projector = put(root / "us" / "gemma-GGUF" / "mmproj-model-f16.gguf", bytes(7))
    safetensors_folder(root / "mlx-community" / "qwen-4bit")

    library = see(Source.LM_STUDIO, root)

    assert [(model.name, model.projector_path) for model in library.models] == [
        ("mlx-community/qwen-4bit", None),
        ("us/gemma-GGUF/gemma-Q4_K_M", str(projector)),
        ("us/gemma-GGUF/gemma-Q8_0", str(projector)),
    ]


def repository(hub: Path, name: str, files: dict[str, bytes], revision: str = REVISION) -> Path:
    """Put a repository into Hugging Face's cache; return the folder of its snapshot."""
    folder = hub / f"models--{name.replace('/', '--')}"
    for file, content in files.items():
        blob = put(folder / "blobs" / f"{revision[:4]}-{file.replace('/', '-')}", content)
        link = folder / "snapshots" / revision / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return folder / "snapshots" / revision


def refer(hub: Path, name: str, reference: str, revision: str) -> None:
    put(hub / f"models--{name.replace('/', '--')}" / "refs" / reference, revision)


@pytest.mark.parametrize("source", [Source.HUGGING_FACE, Source.LLAMA_CPP])
def test_a_repository_of_the_hub_is_seen_as_it_is_now(tmp_path: Path, source: Source) -> None:
    hub = tmp_path / "hub"
    old = {"a-Q4_0.gguf": gguf("old")}
    new = {"a-Q4_0.gguf": gguf("new"), "Q8_0/a-Q8_0.gguf": gguf("8"), "mmproj-F16.gguf": b"7"}
    repository(hub, "us/a-GGUF", old, OTHER)
    snapshot = repository(hub, "us/a-GGUF", new)
    refer(hub, "us/a-GGUF", "main", REVISION)
    (hub / "datasets--us--data").mkdir()

    library = see(source, hub)

    assert [(model.name, model.path) for model in library.models] == [
        ("us/a-GGUF/a-Q4_0", str(snapshot / "a-Q4_0.gguf")),
        ("us/a-GGUF/Q8_0/a-Q8_0", str(snapshot / "Q8_0" / "a-Q8_0.gguf")),
    ]
    assert library.models[0].projector_path == str(snapshot / "mmproj-F16.gguf")


def test_a_safetensors_repository_has_the_repositorys_name(tmp_path: Path) -> None:
    made = safetensors_folder(tmp_path / "made")
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    snapshot = repository(tmp_path / "hub", "us/model", files)
    refer(tmp_path / "hub", "us/model", "main", REVISION + "\n")

    (found,) = see(Source.HUGGING_FACE, tmp_path / "hub").models

    assert (found.name, found.path, found.problem) == ("us/model", str(snapshot), None)


def test_other_references_are_seen_beside_main(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    repository(hub, "us/a", {"a.gguf": gguf("new")})
    repository(hub, "us/a", {"a.gguf": gguf("other")}, OTHER)
    refer(hub, "us/a", "main", REVISION)
    refer(hub, "us/a", "refs/pr/1", OTHER)
    refer(hub, "us/a", "v1", REVISION)

    assert names(see(Source.HUGGING_FACE, hub)) == ["us/a/a", f"us/a@{OTHER[:12]}/a"]


def test_without_a_reference_the_newest_snapshot_is_seen(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    old = repository(hub, "us/a", {"a.gguf": gguf("old")}, OTHER)
    new = repository(hub, "us/a", {"a.gguf": gguf("new")})
    refer(hub, "us/a", "main", "../../../../etc")
    os.utime(old, (1, 1))
    os.utime(new, (2, 2))

    (found,) = see(Source.HUGGING_FACE, hub).models

    assert found.path == str(new / "a.gguf")


def test_a_download_of_the_hub_that_is_not_finished_is_told(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    put(hub / "models--us--a" / "blobs" / "abc.incomplete", bytes(1024))

    (found,) = see(Source.HUGGING_FACE, hub).models

    assert (found.name, found.problem) == (
        "us/a",
        "the download is not finished: 1.0 KiB so far",
    )


def test_llama_cpps_flat_cache_has_the_repositories_of_its_manifests(tmp_path: Path) -> None:
    root = tmp_path / "llama.cpp"
    put(root / "manifest=ggml-org=gemma-3-GGUF=Q4_K_M.json", "{}")
    put(root / "ggml-org_gemma-3-GGUF_gemma-3-Q4_K_M.gguf", gguf("1"))
    put(root / "ggml-org_gemma-3-GGUF_gemma-3-Q4_K_M.gguf.etag", "")
    projector = put(root / "ggml-org_gemma-3-GGUF_mmproj-model-f16.gguf", bytes(5))
    put(root / "someone_tiny_tiny.gguf", gguf("2"))

    library = see(Source.LLAMA_CPP, root)

    assert [(model.name, model.projector_path) for model in library.models] == [
        ("ggml-org/gemma-3-GGUF/gemma-3-Q4_K_M", str(projector)),
        ("someone_tiny_tiny", None),
    ]


def test_an_unreadable_manifest_is_told(tmp_path: Path) -> None:
    path = tmp_path / "models" / "manifests" / OURS / "library" / "bad" / "1b"
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "nowhere")

    assert see(Source.OLLAMA, tmp_path / "models").unreadable == (
        UnreadablePlace(path=str(path), source=Source.OLLAMA, reason="No such file or directory"),
    )


def test_a_pipe_in_place_of_a_programs_own_file_does_not_wait(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such files")
    manifest = tmp_path / "ollama" / "manifests" / OURS / "library" / "tiny" / "1b"
    revision = tmp_path / "hub" / "models--a--b" / "refs" / "main"
    put(tmp_path / "hub" / "models--a--b" / "snapshots" / REVISION / "x.gguf", gguf())
    for path in (manifest, revision):
        path.parent.mkdir(parents=True)
        os.mkfifo(path)

    assert see(Source.OLLAMA, tmp_path / "ollama") == Library(
        models=(),
        unreadable=(
            UnreadablePlace(path=str(manifest), source=Source.OLLAMA, reason="this is not a file"),
        ),
    )
    assert names(see(Source.HUGGING_FACE, tmp_path / "hub")) == ["a/b/x"]
