import logging
import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from threading import Event

import pytest

from vramline.store import (
    DAMAGED,
    FILE_BYTES_MOST,
    HOME,
    Kind,
    Store,
    folder_of,
    open_store,
    uri_of,
)

ADD_ONE = """
import sys
from vramline.store import Store
store = Store(folder=sys.argv[1], name="count")
for _ in range(20):
    assert store.update(lambda kept: {"n": b"%d" % (int(kept.get("n", b"0")) + 1)})
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(folder=str(tmp_path / "kept"), name="figures")


def file_of(store: Store) -> Path:
    assert store.path is not None
    return Path(store.path)


def test_what_is_written_is_read_again(store: Store) -> None:
    assert store.write({"a": b"1", "b": b"", "\udcff/\x00ü": b"\x00\xff"})

    assert store.read() == {"a": b"1", "b": b"", "\udcff/\x00ü": b"\x00\xff"}
    assert store.read(["b", "missing"]) == {"b": b""}


def test_entries_that_are_not_named_stay(store: Store) -> None:
    store.write({"a": b"1", "b": b"2", "c": b"3"})

    assert store.write({"a": b"4", "b": None, "missing": None})

    assert store.read() == {"a": b"4", "c": b"3"}


def test_nothing_was_kept_yet(store: Store) -> None:
    assert store.read() == {}
    assert not file_of(store).exists()


def test_another_version_is_not_seen_and_stays(store: Store) -> None:
    newer = Store(folder=store.folder, name=store.name, version=2)
    store.write({"a": b"1"})

    assert newer.read() == {}
    newer.write({"a": b"2"})

    assert (store.read(), newer.read()) == ({"a": b"1"}, {"a": b"2"})


def test_forgetting_takes_all_versions_and_nothing_else(store: Store) -> None:
    other = Store(folder=store.folder, name="figures-of-others")
    newer = Store(folder=store.folder, name=store.name, version=2)
    for each in (store, newer, other):
        each.write({"a": b"1"})
    file_of(store).with_name(file_of(store).name + DAMAGED).write_bytes(b"x")

    assert store.forget()

    assert [path.name for path in file_of(store).parent.iterdir()] == [file_of(other).name]
    assert store.forget()


def test_a_change_sees_what_is_kept_and_is_one(store: Store) -> None:
    store.write({"a": b"1", "b": b"2"})
    seen = []

    def swap(kept: dict[str, bytes]) -> dict[str, bytes | None]:
        seen.append(kept)
        return {"a": kept["b"], "b": None}

    assert store.update(swap)

    assert seen == [{"a": b"1", "b": b"2"}]
    assert store.read() == {"a": b"2"}


def test_a_change_that_fails_changes_nothing(store: Store) -> None:
    store.write({"a": b"1"})

    def fail(kept: dict[str, bytes]) -> dict[str, bytes | None]:
        raise OSError("the caller's own")

    with pytest.raises(OSError, match="the caller's own"):
        store.update(fail)

    assert store.read() == {"a": b"1"}


def test_two_programs_at_once_lose_nothing(tmp_path: Path) -> None:
    programs = [
        subprocess.Popen([sys.executable, "-c", ADD_ONE, str(tmp_path)], cwd=Path.cwd())
        for _ in range(2)
    ]

    assert [program.wait(timeout=60) for program in programs] == [0, 0]
    assert Store(folder=str(tmp_path), name="count").read() == {"n": b"40"}


def test_nobody_else_changes_what_is_being_changed(store: Store) -> None:
    store.write({"n": b"0"})
    other_began = Event()

    def add(kept: dict[str, bytes]) -> dict[str, bytes | None]:
        return {"n": b"%d" % (int(kept["n"]) + 1)}

    def others(kept: dict[str, bytes]) -> dict[str, bytes | None]:
        other_began.set()
        return add(kept)

    with ThreadPoolExecutor(1) as executor:
        answers = []

        def ours(kept: dict[str, bytes]) -> dict[str, bytes | None]:
            answers.append(executor.submit(store.update, others))
            assert not other_began.wait(0.05)
            return add(kept)

        assert store.update(ours)
        assert answers[0].result()

    assert store.read() == {"n": b"2"}


def test_two_threads_at_once_lose_nothing(store: Store) -> None:
    def add(key: int) -> bool:
        return store.write({str(key): b"%d" % key})

    with ThreadPoolExecutor(4) as executor:
        assert all(executor.map(add, range(40)))

    assert store.read() == {str(key): b"%d" % key for key in range(40)}


def test_a_program_that_holds_it_for_long_is_not_waited_for_endlessly(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vramline.store.LOCK_SECONDS", 0.01)
    store.write({"a": b"1"})
    with closing(sqlite3.connect(file_of(store), isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")

        assert not store.write({"a": b"2"})
        assert store.read() == {}

    assert store.read() == {"a": b"1"}
    assert "database is locked" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"garbage" * 1000,
        b"SQLite format 3\0" + b"\xff" * 5000,
        b"{}",
    ],
)
def test_a_damaged_file_is_set_aside_and_begun_anew(
    store: Store, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = file_of(store)
    path.parent.mkdir()
    path.write_bytes(content)
    path.with_name(path.name + "-journal").write_bytes(b"of the damaged one")

    assert store.read() == {}
    assert store.write({"a": b"1"})

    assert store.read() == {"a": b"1"}
    assert path.with_name(path.name + DAMAGED).read_bytes() == content
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "begun anew" in caplog.text


def test_every_place_where_bytes_turn_is_survived(store: Store) -> None:
    kept = {str(at): bytes([at]) * 300 for at in range(60)}
    store.write(kept)
    whole = file_of(store).read_bytes()

    for at in range(0, len(whole), 611):
        file_of(store).write_bytes(whole[:at] + bytes(64) + whole[at + 64 :])

        found = store.read()

        assert found.items() <= kept.items()
        assert store.write({"a": b"1"})
        assert store.read(["a"]) in ({"a": b"1"}, {})  # never another's


def test_a_file_that_was_cut_off_is_survived(store: Store) -> None:
    kept = {str(at): bytes([at]) * 300 for at in range(60)}
    store.write(kept)
    whole = file_of(store).read_bytes()

    for size in range(0, len(whole), 2003):
        file_of(store).write_bytes(whole[:size])

        assert store.read().items() <= kept.items()
        assert store.write({"a": b"1"})
        assert store.read(["a"]) == {"a": b"1"}


def test_a_bit_that_turned_costs_its_entry_alone(store: Store) -> None:
    store.write({"a": b"aaaaaaaaaaaaaaaa", "b": b"bbbbbbbbbbbbbbbb"})
    text = file_of(store).read_bytes()
    file_of(store).write_bytes(text.replace(b"aaaaaaaaaaaaaaaa", b"aaaaaaacaaaaaaaa"))

    assert store.read() == {"b": b"bbbbbbbbbbbbbbbb"}


def test_other_tables_and_other_types_are_not_ours(store: Store) -> None:
    file_of(store).parent.mkdir()
    with closing(sqlite3.connect(file_of(store))) as database:
        database.execute("CREATE TABLE entries (key, value)")
        database.execute("INSERT INTO entries VALUES ('text', 1), (NULL, NULL), (x'ff', x'ff')")
        database.commit()

    assert store.read() == {}
    assert store.write({"a": b"1"})
    assert store.read() == {"a": b"1"}


def test_a_table_with_other_columns_is_set_aside(store: Store) -> None:
    file_of(store).parent.mkdir()
    with closing(sqlite3.connect(file_of(store))) as database:
        database.execute("CREATE TABLE entries (a, b, c)")

    assert store.write({"a": b"1"})

    assert store.read() == {"a": b"1"}


def test_a_file_of_a_hostile_size_is_set_aside_unread(store: Store) -> None:
    file_of(store).parent.mkdir()
    with file_of(store).open("wb") as file:
        file.truncate(FILE_BYTES_MOST + 1)

    assert store.read() == {}
    assert store.write({"a": b"1"})
    assert store.read() == {"a": b"1"}


def test_a_value_that_is_far_too_long_is_not_kept(store: Store) -> None:
    store.write({"a": b"1"})

    assert not store.write({"b": b"2", "c": bytes(2**24 + 1)})

    assert store.read() == {"a": b"1"}


def test_a_full_disk_loses_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.write({"a": b"1"})
    monkeypatch.setattr("vramline.store.FILE_BYTES_MOST", 16384)  # as many pages as there are

    assert not store.write({"b": bytes(100_000)})

    assert store.read() == {"a": b"1"}
    assert "full" in caplog.text


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_told_and_left(
    store: Store, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = file_of(store)
    path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif sys.platform != "win32":
        os.mkfifo(path)

    assert store.read() == {}
    assert not store.write({"a": b"1"})

    assert path.exists()
    assert "no file is in its place" in caplog.text


def test_a_file_where_the_folder_should_be_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_bytes(b"")
    store = Store(folder=str(tmp_path / "kept"), name="figures")

    for _ in range(3):
        assert store.read() == {}
        assert not store.write({"a": b"1"})

    assert store.forget()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_what_is_kept_is_the_users_alone(store: Store) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such permissions")
    before = os.umask(0)
    try:
        store.write({"a": b"1"})
    finally:
        os.umask(before)

    assert stat.S_IMODE(file_of(store).stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(store).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("mode", "read"), [(0o555, {"a": b"1"}), (0, {})])
def test_a_home_that_is_not_ours_is_told(tmp_path: Path, mode: int, read: dict[str, bytes]) -> None:
    store = Store(folder=str(tmp_path / "kept"), name="figures")
    store.write({"a": b"1"})
    if sys.platform == "win32":
        pytest.skip("Windows has no such permissions")
    script = f"""
import os, sqlite3
from vramline.store import Store
try:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)  # to root nothing is read-only
except PermissionError:
    pass
store = Store(folder={store.folder!r}, name="figures")
print(store.read(), store.write({{"a": b"2"}}), store.forget())
"""
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(0o755)
    file_of(store).chmod(0o444)
    file_of(store).parent.chmod(mode)

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    file_of(store).parent.chmod(0o755)
    assert done.stdout.strip() == f"{read} False False", done.stderr
    assert store.read() == {"a": b"1"}


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        (PurePosixPath("/home/a?b#c%"), "file:///home/a%3Fb%23c%25"),
        (PureWindowsPath("C:\\Users\\a b"), "file:///C:/Users/a%20b"),
        (PureWindowsPath("\\\\server\\share\\a"), "file:////server/share/a"),
    ],
)
def test_a_file_has_a_name_that_sqlite_takes(path: PurePath, uri: str) -> None:
    assert uri_of(path) == uri


def test_without_a_home_nothing_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(folder=None, name="nobody's")

    assert (store.read(), store.write({"a": b"1"}), store.forget()) == ({}, False, True)
    assert "set VRAMLINE_HOME" in caplog.text


@pytest.mark.parametrize(
    ("kind", "platform", "environ", "folder"),
    [
        (Kind.CACHE, "linux", {"HOME": "/h"}, "/h/.cache/vramline"),
        (Kind.STATE, "linux", {"HOME": "/h"}, "/h/.local/state/vramline"),
        (Kind.CACHE, "linux", {"HOME": "/h", "XDG_CACHE_HOME": "/c"}, "/c/vramline"),
        (Kind.STATE, "linux", {"HOME": "/h", "XDG_STATE_HOME": "/s"}, "/s/vramline"),
        (Kind.CACHE, "linux", {"HOME": "/h", "XDG_CACHE_HOME": "c"}, "/h/.cache/vramline"),
        (Kind.CACHE, "darwin", {"HOME": "/h"}, "/h/Library/Caches/vramline"),
        (Kind.STATE, "darwin", {"HOME": "/h"}, "/h/Library/Application Support/vramline"),
        (Kind.CACHE, "win32", {"LOCALAPPDATA": "/l"}, "/l/vramline/cache"),
        (Kind.STATE, "win32", {"USERPROFILE": "/u"}, "/u/AppData/Local/vramline/state"),
        (Kind.STATE, "linux", {"HOME": "/h", HOME: "/own"}, "/own"),
        (Kind.CACHE, "win32", {"LOCALAPPDATA": "/l", HOME: "/own"}, "/own"),
    ],
)
def test_each_system_has_its_place(
    kind: Kind, platform: str, environ: dict[str, str], folder: str
) -> None:
    assert folder_of(kind, environ, platform) == folder
    store = open_store("name", version=3, kind=kind, environ=environ, platform=platform)
    assert store.path == os.path.join(folder, "name-3.sqlite3")
