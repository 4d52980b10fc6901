"""The models in each program's folders, by the names that it gives them."""

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from vramline.fit.header_file import read_small, reason_of, shown_path
from vramline.fit.library.folders import Folders
from vramline.fit.library.found import Candidate, Source
from vramline.fit.library.gguf_files import SUFFIX, gguf_candidates, is_gguf, unfinished
from vramline.fit.library.kept import Kept
from vramline.fit.library.ollama import ollama_candidates
from vramline.fit.library.places import Place
from vramline.fit.library.safetensors_files import safetensors_candidate

REPOSITORY = "models--"
MANIFEST = re.compile(r"manifest=(?P<owner>[^=]+)=(?P<repository>[^=]+)=[^=]*\.json")
REVISION_BYTES_MOST = 256
REVISION = re.compile(r"[0-9a-zA-Z]{1,64}")


def candidates(place: Place, folders: Folders, kept: Kept) -> Iterator[Candidate]:
    """Give what lies in one place and looks like a model."""
    folders.begin_place()
    return OWNERS[place.source](place, folders, kept)


def _ollama(place: Place, folders: Folders, kept: Kept) -> Iterator[Candidate]:
    return ollama_candidates(place.path, folders, kept)


def _lm_studio(place: Place, folders: Folders, kept: Kept) -> Iterator[Candidate]:
    """``<publisher>/<repository>/*.gguf``, or a safetensors model's files there."""
    del kept
    return _tree(place, folders, one_model=True)


def _folder(place: Place, folders: Folders, kept: Kept) -> Iterator[Candidate]:
    del kept
    try:
        is_folder = stat.S_ISDIR(os.stat(place.path).st_mode)
    except FileNotFoundError:
        folders.tell(place.path, place.source, "there is no such file or folder")
    except (OSError, ValueError) as error:
        folders.tell(place.path, place.source, reason_of(error))
    else:
        yield from _tree(place, folders, one_model=False) if is_folder else _file(place, folders)


def _file(place: Place, folders: Folders) -> Iterator[Candidate]:
    folder, name = os.path.split(place.path)
    stem = name[: -len(SUFFIX)] if is_gguf(name) else name
    names = [each.name for each in folders.entries(folder, place.source)]
    for candidate in gguf_candidates(names, folder, "", place.source, one_model=False):
        if place.path in candidate.paths:
            yield candidate
            return
    folders.tell(place.path, place.source, f"{shown_path(stem)} is no model's file by its name")


def _tree(place: Place, folders: Folders, *, one_model: bool) -> Iterator[Candidate]:
    for path, files in folders.walk(place.path, place.source):
        names = [entry.name for entry in files]
        inside = os.path.relpath(path, place.path).replace(os.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        # A folder with a name of its own is one model's; the root may have many.
        yield from gguf_candidates(
            names, path, prefix, place.source, one_model=one_model and bool(prefix)
        )
        name = prefix.rstrip("/") or os.path.basename(path)
        if found := safetensors_candidate(names, path, name, place.source):
            yield found


def _llama(place: Place, folders: Folders, kept: Kept) -> Iterator[Candidate]:
    """Both layouts: files side by side, named after their repository, and that of the hub.

    https://github.com/ggml-org/llama.cpp/pull/19828
    """
    yield from _hub(place, folders, kept)
    names = [entry.name for entry in folders.entries(place.path, place.source)]
    repositories: dict[str, str] = {}
    for name in names:
        if found := MANIFEST.fullmatch(name):
            key = f"{found['owner']}_{found['repository']}_"
            repositories[key] = f"{found['owner']}/{found['repository']}/"
    rest = {name for name in names if not name.startswith(tuple(repositories))}
    yield from gguf_candidates(rest, place.path, "", place.source, one_model=False)
    for key, prefix in repositories.items():
        own = [name for name in names if name.startswith(key)]
        for candidate in gguf_candidates(own, place.path, "", place.source, one_model=True):
            yield replace(candidate, name=prefix + candidate.name.removeprefix(key))


def _hub(place: Place, folders: Folders, kept: Kept) -> Iterator[Candidate]:
    """``models--<owner>--<name>/snapshots/<revision>``, whose files are links to ``blobs``.

    https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    del kept
    for entry in folders.entries(place.path, place.source):
        if entry.name.startswith(REPOSITORY) and folders.is_new(entry.path):
            name = entry.name.removeprefix(REPOSITORY).replace("--", "/")
            yield from _repository(entry.path, name, place.source, folders)


def _repository(path: str, name: str, source: Source, folders: Folders) -> Iterator[Candidate]:
    for at, revision in enumerate(_revisions(path, source, folders)):
        root = os.path.join(path, "snapshots", revision)
        shown = name if at == 0 else f"{name}@{revision[:12]}"
        for folder, files in folders.walk(root, source):
            names = [entry.name for entry in files]
            inside = os.path.relpath(folder, root).replace(os.sep, "/")
            prefix = f"{shown}/" if inside == "." else f"{shown}/{inside}/"
            yield from gguf_candidates(names, folder, prefix, source, one_model=True)
            found = safetensors_candidate(names, folder, shown, source)
            if found and folder == root:
                yield found
    for entry in folders.entries(os.path.join(path, "blobs"), source):
        if entry.name.endswith(".incomplete"):
            yield unfinished(name, source, entry.path)


def _revisions(path: str, source: Source, folders: Folders) -> list[str]:
    """Return the snapshots that names point to, ``main`` first; without any, the newest."""
    present = {
        entry.name: entry for entry in folders.entries(os.path.join(path, "snapshots"), source)
    }
    named: list[str] = []
    for folder, files in folders.walk(os.path.join(path, "refs"), source, depth=3):
        del folder
        for entry in sorted(files, key=lambda each: each.name != "main"):
            revision = _revision(entry.path)
            if revision in present and revision not in named:
                named.append(revision)
    if named or not present:
        return named
    return [max(present.values(), key=_modified).name]


def _revision(path: str) -> str:
    try:
        text = read_small(path, REVISION_BYTES_MOST).decode("ascii", "replace").strip()
    except (OSError, ValueError):
        return ""
    return text if REVISION.fullmatch(text) else ""


def _modified(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_mtime_ns
    except OSError:
        return 0


OWNERS: Mapping[Source, Callable[[Place, Folders, Kept], Iterator[Candidate]]] = {
    Source.OLLAMA: _ollama,
    Source.LM_STUDIO: _lm_studio,
    Source.HUGGING_FACE: _hub,
    Source.LLAMA_CPP: _llama,
    Source.FOLDER: _folder,
}
