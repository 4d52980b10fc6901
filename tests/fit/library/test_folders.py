from pathlib import Path

from tests.fit.library.disk import put
from vramline.fit.library import Source, UnreadablePlace
from vramline.fit.library.folders import DEPTH_MOST, Folders


def walked(folders: Folders, root: Path) -> list[str]:
    """Look through a place, and name the files there."""
    folders.begin_place()
    found = folders.walk(str(root), Source.FOLDER)
    return [entry.name for _, files in found for entry in files]


def test_a_place_with_too_many_files_is_told_and_hides_no_other(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "inner/d"):
        put(tmp_path / "large" / name, b"")
    put(tmp_path / "small" / "e", b"")
    folders = Folders(entries_most=3)

    assert len(walked(folders, tmp_path / "large")) <= 2
    assert walked(folders, tmp_path / "small") == ["e"]
    assert folders.unreadable == [
        UnreadablePlace(
            path=str(tmp_path / "large"),
            source=Source.FOLDER,
            reason="3 files or more: the rest was not looked at",
        )
    ]


def test_folders_that_lie_too_deep_are_told_once(tmp_path: Path) -> None:
    last = tmp_path.joinpath("root", *["in"] * DEPTH_MOST)
    put(last / "a", b"")
    put(last / "beyond" / "b", b"")
    put(last.parent / "other" / "beyond" / "c", b"")
    folders = Folders()

    assert walked(folders, tmp_path / "root") == ["a"]
    assert folders.unreadable == [
        UnreadablePlace(
            path=str(last),
            source=Source.FOLDER,
            reason="the folders in it lie too deep: they were not looked into",
        )
    ]
