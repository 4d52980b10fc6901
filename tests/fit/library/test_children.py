import sys
from pathlib import Path

import pytest

from tests.fit.library.disk import gguf, put, see
from vramline.fit.library import FileFormat, Source
from vramline.fit.library.children import (
    CHILDREN_FROM,
    Child,
    Readers,
    children_for,
    start_children,
)
from vramline.fit.library.found import Candidate
from vramline.fit.library.headers import read


def candidate(path: Path, hint: str = "") -> Candidate:
    return Candidate(
        name="any",
        source=Source.FOLDER,
        format=FileFormat.GGUF,
        path=str(path),
        paths=(str(path),),
        hint=hint,
    )


def some(folder: Path) -> list[Candidate]:
    """Whole files, broken ones, one that is not there, and one that is no model."""
    return [
        candidate(put(folder / "a.gguf", gguf("a")), "a-Q8_0"),
        candidate(put(folder / "b.gguf", gguf("b", layers=900))),
        candidate(put(folder / "cut.gguf", gguf()[:-9])),
        candidate(put(folder / "page.gguf", b"<html>")),
        candidate(folder / "missing.gguf"),
        candidate(put(folder / "lora.gguf", gguf(general__type="adapter"))),
        candidate(put(folder / 'two\nlines".gguf', gguf("c"))),
    ]


def test_a_program_reads_what_we_would(tmp_path: Path) -> None:
    child = Child()
    try:
        found = [child.ask(each) for each in some(tmp_path)]
    finally:
        child.close()

    assert found == [read(each) for each in some(tmp_path)]
    assert [each.passing for each in found] == [False] * 4 + [True] + [False] * 2


def test_a_program_that_has_ended_is_done_without(tmp_path: Path) -> None:
    ended, alive = Child(), Child()
    ended.close()
    readers = Readers([ended, None, alive])
    try:
        for _ in range(3):
            assert [readers.read(each) for each in some(tmp_path)] == list(
                map(read, some(tmp_path))
            )
    finally:
        readers.close()
    with pytest.raises((OSError, ValueError)):
        alive.ask(candidate(tmp_path / "a.gguf"))


def test_a_program_imports_nothing_from_the_folder_that_we_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("json", "struct", "vramline"):
        put(tmp_path / f"{module}.py", f"open('{module} was imported', 'w')\nraise SystemExit")
    monkeypatch.chdir(tmp_path)
    (wanted, *_) = some(tmp_path / "models")

    child = Child()
    try:
        assert child.ask(wanted) == read(wanted)
    finally:
        child.close()
    assert list(tmp_path.glob("*was imported")) == []


def test_where_no_program_can_be_started_it_is_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for executable in ("", str(tmp_path / "python-that-is-not-there"), str(tmp_path / "blender")):
        monkeypatch.setattr(sys, "executable", executable)

        assert list(start_children(2)) == [None, None]


def test_few_headers_are_not_worth_a_program() -> None:
    assert children_for(CHILDREN_FROM - 1) == 0
    assert children_for(CHILDREN_FROM) in (0, 2, 3, 4)


def test_many_models_are_read_by_several_programs(tmp_path: Path) -> None:
    for number in range(CHILDREN_FROM):
        put(tmp_path / "models" / f"{number:03}.gguf", gguf(str(number)))
    seen: list[tuple[int, int, str]] = []

    library = see(
        Source.FOLDER,
        tmp_path / "models",
        progress=lambda done, count, name: seen.append((done, count, name)),
    )

    assert library.read_count == len(library.models) == CHILDREN_FROM
    assert [done for done, _, _ in seen] == list(range(1, CHILDREN_FROM + 1))
    assert [model.problem for model in library.models] == [None] * CHILDREN_FROM
    assert see(Source.FOLDER, tmp_path / "models").read_count == 0


def test_many_that_are_broken_off_leave_no_program(tmp_path: Path) -> None:
    for number in range(CHILDREN_FROM):
        put(tmp_path / "models" / f"{number:03}.gguf", gguf(str(number)))

    def stop(done: int, count: int, name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        see(Source.FOLDER, tmp_path / "models", progress=stop)
