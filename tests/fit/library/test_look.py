import errno
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fit.files import GgufFile
from tests.fit.library.disk import (
    TENSOR,
    gguf,
    names,
    ollama_model,
    put,
    safetensors_folder,
    see,
    store_in,
)
from vramline.fit.files import read_model
from vramline.fit.library import (
    FileFormat,
    FoundModel,
    Library,
    Place,
    Source,
    UnreadablePlace,
    header_of,
    look,
)
from vramline.fit.library.kept import GONE_SECONDS

Seen = list[tuple[int, int, str]]


def watcher(seen: Seen) -> Callable[[int, int, str], None]:
    return lambda done, count, name: seen.append((done, count, name))


def test_a_file_in_a_given_folder_is_a_model(tmp_path: Path) -> None:
    path = put(tmp_path / "models" / "tiny-Q8_0.gguf", gguf(general__file_type=15))
    os.utime(path, (1.0, 2.0))

    library = see(Source.FOLDER, tmp_path / "models")

    packed = library.models[0].packed
    assert library == Library(
        models=(
            FoundModel(
                name="tiny-Q8_0",
                source=Source.FOLDER,
                format=FileFormat.GGUF,
                path=str(path),
                paths=(str(path),),
                file_bytes=path.stat().st_size,
                quantisation="Q8_0",
                parameters=128,
                architecture="llama",
                context_length=4096,
                modified_at=datetime.fromtimestamp(2, UTC),
                packed=packed,
            ),
        ),
        read_count=1,
    )
    assert header_of(library.models[0]) == read_model(path)


def test_nothing_is_read_again_that_has_not_changed(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / "models" / f"{number}.gguf", gguf(str(number)))
    seen: Seen = []

    first = see(Source.FOLDER, tmp_path / "models", progress=watcher(seen))
    second = see(Source.FOLDER, tmp_path / "models", progress=watcher(seen))

    assert seen == [(1, 3, "0"), (2, 3, "1"), (3, 3, "2")]
    assert (first.read_count, second.read_count) == (3, 0)
    assert second.models == first.models


@pytest.mark.parametrize("what", ["content", "time", "file"])
def test_what_has_changed_is_read_again(tmp_path: Path, what: str) -> None:
    path = put(tmp_path / "models" / "a.gguf", gguf("a"))
    put(tmp_path / "models" / "b.gguf", gguf("b"))
    see(Source.FOLDER, tmp_path / "models")
    before = path.stat()
    if what == "content":
        put(path, gguf("a", layers=3))
    elif what == "time":
        os.utime(path, ns=(0, before.st_mtime_ns + 1))
    else:  # of the same size and time, put in its place
        copy = put(tmp_path / "models" / "new", gguf("z"))
        os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
        copy.replace(path)
    seen: Seen = []

    library = see(Source.FOLDER, tmp_path / "models", progress=watcher(seen))

    assert seen == [(1, 1, "a")]
    assert header_of(library.models[0]) == read_model(path)


def test_a_part_that_has_changed_has_all_read_again(tmp_path: Path) -> None:
    parts = [
        put(tmp_path / "models" / f"big-{at + 1:05}-of-00002.gguf", gguf(split=(at, 2)))
        for at in range(2)
    ]
    first = see(Source.FOLDER, tmp_path / "models")
    os.utime(parts[1], ns=(0, 1))

    second = see(Source.FOLDER, tmp_path / "models")

    assert (first.read_count, second.read_count) == (1, 1)


def test_parts_are_one_model(tmp_path: Path) -> None:
    parts = [
        put(tmp_path / "models" / f"big-{at + 1:05}-of-00002.gguf", gguf(split=(at, 2)))
        for at in range(2)
    ]

    library = see(Source.FOLDER, tmp_path / "models")

    (found,) = library.models
    assert (found.name, found.path) == ("big", str(parts[0]))
    assert found.paths == tuple(map(str, parts))
    assert found.file_bytes == sum(part.stat().st_size for part in parts)
    assert len(header_of(found).tensors) == 4


def test_a_missing_part_is_told(tmp_path: Path) -> None:
    put(tmp_path / "models" / "big-00002-of-00002.gguf", gguf(split=(1, 2)))
    put(tmp_path / "models" / "whole.gguf", gguf())

    library = see(Source.FOLDER, tmp_path / "models")

    assert names(library) == ["big", "whole"]
    assert "1 of 2 parts are not beside it" in (library.models[0].problem or "")
    assert library.models[1].problem is None


def test_broken_files_are_told_and_hide_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    put(folder / "cut.gguf", gguf()[:-100])
    put(folder / "empty.gguf", b"")
    put(folder / "page.gguf", b"<!DOCTYPE html>")
    put(folder / "torn.gguf", gguf()[:50])
    put(folder / "whole.gguf", gguf())

    library = see(Source.FOLDER, folder)

    problems = {model.name: model.problem for model in library.models}
    assert list(problems) == ["cut", "empty", "page", "torn", "whole"]
    assert "100 bytes are missing" in (problems["cut"] or "")
    assert "the file is empty" in (problems["empty"] or "")
    assert "a web page" in (problems["page"] or "")
    assert "the file ends at" in (problems["torn"] or "")
    assert problems["whole"] is None
    assert library.models[0].architecture == "llama"
    assert see(Source.FOLDER, folder).read_count == 0


@pytest.mark.parametrize(
    "name",
    [
        "new.gguf.part",
        "new.gguf.downloadInProgress",
        "new.gguf.crdownload",
        "new.gguf.a1b2c3d4.incomplete",
    ],
)
def test_a_download_that_is_not_finished_is_told(tmp_path: Path, name: str) -> None:
    put(tmp_path / "models" / name, bytes(2048))

    (found,) = see(Source.FOLDER, tmp_path / "models").models

    assert (found.name, found.problem) == ("new", "the download is not finished: 2.0 KiB so far")
    assert found.file_bytes == 2048


def test_what_is_no_model_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    put(folder / "lora.gguf", gguf(general__type="adapter"))
    put(folder / "vision.gguf", gguf(general__architecture="clip"))
    put(folder / "imatrix.gguf", gguf(general__type="imatrix"))
    put(folder / "vocabulary.gguf", gguf(layers=0))
    put(folder / "._model.gguf", b"what macOS leaves on other disks")
    put(folder / "notes.txt", "")
    put(folder / "lora" / "adapter_config.json", "{}")
    put(folder / "lora" / "adapter_model.safetensors", b"")
    put(folder / "images" / "checkpoint.safetensors", b"")

    library = see(Source.FOLDER, folder)

    assert library.models == ()
    assert see(Source.FOLDER, folder).read_count == 0


def test_projectors_belong_to_their_models(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    put(folder / "gemma-3-4b-it-Q4_K_M.gguf", gguf("1"))
    put(folder / "qwen2-vl-7b.Q8_0.gguf", gguf("2"))
    put(folder / "plain-7b.gguf", gguf("3"))
    gemma = put(folder / "mmproj-gemma-3-4b-it-f16.gguf", bytes(10))
    put(folder / "mmproj-gemma-3-4b-it-Q8_0.gguf", bytes(20))
    qwen = put(folder / "qwen2-vl-7b.mmproj-f16.gguf", bytes(30))
    put(folder / "mmproj-model-f16.gguf", bytes(40))  # of none that can be told
    alone = folder / "alone"
    put(alone / "model.gguf", gguf("4"))
    its = put(alone / "mmproj-F16.gguf", bytes(50))

    library = see(Source.FOLDER, folder)

    assert {
        model.name: (model.projector_path, model.projector_bytes) for model in library.models
    } == {
        "alone/model": (str(its), 50),
        "gemma-3-4b-it-Q4_K_M": (str(gemma), 10),
        "plain-7b": (None, 0),
        "qwen2-vl-7b.Q8_0": (str(qwen), 30),
    }


def test_a_safetensors_folder_is_one_model(tmp_path: Path) -> None:
    folder = safetensors_folder(tmp_path / "models" / "qwen", max_position_embeddings=32768)

    (found,) = see(Source.FOLDER, tmp_path / "models").models

    assert (found.name, found.format, found.path) == ("qwen", FileFormat.SAFETENSORS, str(folder))
    assert (found.architecture, found.quantisation, found.parameters) == ("qwen2", "BF16", 6)
    assert found.context_length == 32768
    assert header_of(found) == read_model(folder)
    put(folder / "config.json", '{"model_type": "llama"}')
    assert see(Source.FOLDER, tmp_path / "models").models[0].architecture == "llama"


def test_a_quantised_safetensors_model_does_not_tell_its_parameters(tmp_path: Path) -> None:
    config = {"quantization_config": {"quant_method": "awq", "bits": 4}}
    safetensors_folder(tmp_path / "models", **config)

    (found,) = see(Source.FOLDER, tmp_path / "models").models

    assert (found.quantisation, found.parameters) == ("AWQ 4-bit", None)


def test_one_file_can_be_given(tmp_path: Path) -> None:
    path = put(tmp_path / "a.gguf", gguf())
    put(tmp_path / "b.gguf", gguf())

    assert names(see(Source.FOLDER, path)) == ["a"]
    text = put(tmp_path / "notes.txt", "")
    for wrong, reason in (
        (text, "notes.txt is no model's file by its name"),
        (tmp_path / "missing.gguf", "there is no such file or folder"),
    ):
        assert see(Source.FOLDER, wrong).unreadable == (
            UnreadablePlace(path=str(wrong), source=Source.FOLDER, reason=reason),
        )


def test_links_that_go_round_are_followed_once(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    path = put(folder / "deep" / "a.gguf", gguf())
    (folder / "deep" / "up").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "again").symlink_to(folder / "deep")

    library = see(Source.FOLDER, folder)

    (found,) = library.models
    assert found.path in (str(path), str(folder / "again" / "a.gguf"))
    assert found.other_names == ()  # it was come upon once
    assert library.unreadable == ()


def test_one_file_under_several_names_is_read_once(tmp_path: Path) -> None:
    path = put(tmp_path / "models" / "a.gguf", gguf())
    os.link(path, tmp_path / "models" / "b.gguf")
    (tmp_path / "models" / "c.gguf").symlink_to(path)

    library = see(Source.FOLDER, tmp_path / "models")

    (found,) = library.models
    assert (found.name, found.other_names, library.read_count) == ("a", ("b", "c"), 1)
    assert see(Source.FOLDER, tmp_path / "models").read_count == 0


def test_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "gone.gguf").symlink_to(tmp_path / "nowhere")

    (found,) = see(Source.FOLDER, folder).models

    assert found.problem == f"{folder / 'gone.gguf'}: there is no such file"


def test_a_pipe_with_a_models_name_does_not_wait(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such files")
    (tmp_path / "models").mkdir()
    for name in ("a", "b", "c", "d"):
        os.mkfifo(tmp_path / "models" / f"{name}.gguf")

    library = see(Source.FOLDER, tmp_path / "models")

    assert ["this is not a file" in (model.problem or "") for model in library.models] == [True] * 4


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    if sys.platform == "win32" or os.geteuid() == 0:
        pytest.skip("root, and whoever on Windows, may read anything")
    put(tmp_path / "models" / "private" / "a.gguf", gguf())
    put(tmp_path / "models" / "b.gguf", gguf())
    (tmp_path / "models" / "private").chmod(0)

    library = see(Source.FOLDER, tmp_path / "models")

    (tmp_path / "models" / "private").chmod(0o755)
    assert names(library) == ["b"]
    assert library.unreadable == (
        UnreadablePlace(
            path=str(tmp_path / "models" / "private"),
            source=Source.FOLDER,
            reason="Permission denied",
        ),
    )


def test_a_folder_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path / "round")

    library = see(Source.LM_STUDIO, tmp_path / "round")

    assert library.models == ()
    assert library.unreadable == (
        UnreadablePlace(
            path=str(tmp_path / "round"),
            source=Source.LM_STUDIO,
            reason=os.strerror(errno.ELOOP),
        ),
    )


def test_a_place_that_is_not_there_is_no_problem(tmp_path: Path) -> None:
    for source in (Source.OLLAMA, Source.LM_STUDIO, Source.HUGGING_FACE, Source.LLAMA_CPP):
        assert see(source, tmp_path / "nowhere") == Library(models=())


def test_a_name_with_control_characters_is_shown_in_one_line(tmp_path: Path) -> None:
    put(tmp_path / "models" / "a\n\x1b[31mb.gguf", gguf())

    assert names(see(Source.FOLDER, tmp_path / "models")) == [r"'a\n\x1b[31mb'"]


@pytest.mark.skipif(sys.platform != "linux", reason="others' file names are text")
def test_a_name_that_is_not_utf_8_is_kept_too(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "models") + b"/\xff.gguf"
    (tmp_path / "models").mkdir()
    with open(path, "wb") as file:
        file.write(gguf())

    first = see(Source.FOLDER, tmp_path / "models")

    assert first.models[0].path == os.fsdecode(path)
    assert see(Source.FOLDER, tmp_path / "models").read_count == 0


def test_a_time_beyond_any_calendar_is_not_known(tmp_path: Path) -> None:
    path = put(tmp_path / "models" / "a.gguf", gguf())
    try:
        os.utime(path, (0, 2.0**40))
    except OSError:
        pytest.skip("this disk has no such times")

    (found,) = see(Source.FOLDER, tmp_path / "models").models

    assert found.modified_at in (None, datetime.fromtimestamp(path.stat().st_mtime, UTC))


def test_a_damaged_store_costs_a_reading(tmp_path: Path) -> None:
    put(tmp_path / "models" / "a.gguf", gguf())
    store = store_in(tmp_path / "kept")
    first = see(Source.FOLDER, tmp_path / "models", store)
    assert store.path
    Path(store.path).write_bytes(b"garbage" * 1000)

    second = see(Source.FOLDER, tmp_path / "models", store)

    assert (second, see(Source.FOLDER, tmp_path / "models", store).read_count) == (first, 0)


def test_an_entry_that_means_nothing_costs_a_reading(tmp_path: Path) -> None:
    path = put(tmp_path / "models" / "a.gguf", gguf())
    store = store_in(tmp_path / "kept")
    first = see(Source.FOLDER, tmp_path / "models", store)
    begin = store.read()[str(path)].partition(b"\n")[0]

    for content in (b"", b"\n", b"\n[]", b"\n{}", b"\n[1,2,3]\n{}", b"\nnull", b"\n" + b"[" * 9999):
        store.write({str(path): begin + content})

        assert see(Source.FOLDER, tmp_path / "models", store) == first


def test_without_a_store_it_is_read_each_time(tmp_path: Path) -> None:
    put(tmp_path / "models" / "a.gguf", gguf())
    put(tmp_path / "kept", "a file where the folder should be")
    store = store_in(tmp_path / "kept")

    counts = [see(Source.FOLDER, tmp_path / "models", store).read_count for _ in range(2)]

    assert counts == [1, 1]


def test_what_is_kept_of_a_file_that_is_gone_goes_away_later(tmp_path: Path) -> None:
    store = store_in(tmp_path / "kept")
    gone = put(tmp_path / "models" / "a.gguf", gguf())
    other = put(tmp_path / "elsewhere" / "b.gguf", gguf("b"))
    place = Place(source=Source.FOLDER, path=str(tmp_path / "models"))
    elsewhere = Place(source=Source.FOLDER, path=str(other.parent))

    def kept_at(now: float) -> set[str]:
        look([place], store, clock=lambda: now)
        return {path for path in store.read() if path.endswith(".gguf")}

    look([place, elsewhere], store, clock=lambda: 0.0)
    shutil.rmtree(tmp_path / "models")
    assert kept_at(1.0) == {str(gone), str(other)}
    assert kept_at(GONE_SECONDS) == {str(gone), str(other)}
    assert kept_at(1.0 + GONE_SECONDS) == {str(other)}
    assert kept_at(3 * GONE_SECONDS) == {str(other)}


def test_a_file_that_comes_back_begins_again(tmp_path: Path) -> None:
    store = store_in(tmp_path / "kept")
    path = put(tmp_path / "models" / "a.gguf", gguf())
    place = Place(source=Source.FOLDER, path=str(path.parent))
    look([place], store, clock=lambda: 0.0)
    away = path.rename(tmp_path / "away")
    look([place], store, clock=lambda: 1.0)
    away.rename(path)
    assert look([place], store, clock=lambda: 2.0).read_count == 0
    path.rename(away)

    look([place], store, clock=lambda: 2.0 + GONE_SECONDS)

    assert str(path) in store.read()


def test_several_places_are_one_library(tmp_path: Path) -> None:
    store = store_in(tmp_path / "kept")
    blob = ollama_model(tmp_path / "o", "registry.ollama.ai/library/tiny/1b", gguf("tiny"))
    assert blob
    studio = tmp_path / "s" / "them" / "tiny" / "tiny.gguf"
    studio.parent.mkdir(parents=True)
    studio.symlink_to(blob)
    put(tmp_path / "f" / "a.gguf", gguf("a"))

    library = look(
        [
            Place(source=Source.OLLAMA, path=str(tmp_path / "o")),
            Place(source=Source.LM_STUDIO, path=str(tmp_path / "s")),
            Place(source=Source.FOLDER, path=str(tmp_path / "f")),
        ],
        store,
    )

    assert [(model.name, model.other_names) for model in library.models] == [
        ("a", ()),
        ("tiny:1b", ("them/tiny/tiny",)),
    ]
    assert library.read_count == 2


def test_a_look_that_is_broken_off_keeps_what_it_read(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / "models" / f"{number}.gguf", gguf(str(number)))
    store = store_in(tmp_path / "kept")

    def stop(done: int, count: int, name: str) -> None:
        del count, name
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        see(Source.FOLDER, tmp_path / "models", store, stop)

    assert see(Source.FOLDER, tmp_path / "models", store).read_count == 2


def test_what_has_no_architecture_is_a_problem(tmp_path: Path) -> None:
    put(tmp_path / "models" / "a.gguf", GgufFile(tensors=[TENSOR]).to_bytes())

    (found,) = see(Source.FOLDER, tmp_path / "models").models

    assert "it names no architecture" in (found.problem or "")
