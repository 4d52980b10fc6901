"""Which of a folder's files are GGUF models, and which belong together."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vramline.fit.gguf.parts import NAME
from vramline.fit.library.found import Candidate, FileFormat, Source
from vramline.units import format_bytes

SUFFIX = ".gguf"
UNFINISHED = re.compile(
    r"(?P<stem>.*)\.gguf.*\.(?:part|partial|incomplete|downloadinprogress|download|crdownload|aria2|tmp)",
    re.IGNORECASE | re.DOTALL,
)
"""What browsers, LM Studio, llama.cpp, huggingface_hub and aria2 call what they have begun."""

WORDS = re.compile(r"[a-z0-9]+")
PLAIN_WORDS = frozenset(re.split(" ", "mmproj model f16 fp16 bf16 f32 fp32 q8 q6 q5 q4 0 k m s"))
"""In a projector's name, these do not tell whose it is."""

PREFERRED = ("f16", "fp16", "bf16", "f32", "fp32")
"""Of several projectors, the first of these types that there is."""

Projectors = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A file, or the parts of one model."""

    stem: str
    paths: tuple[str, ...]


def gguf_candidates(
    names: Iterable[str], folder: str, prefix: str, source: Source, *, one_model: bool
) -> Iterator[Candidate]:
    """Give the models among a folder's files.

    *prefix* stands before their names. Where the folder is *one_model*'s, quantised in several
    ways, every projector in it is that model's.
    """
    chosen = sorted(names)
    groups = grouped([name for name in chosen if is_gguf(name)], folder)
    projectors = projectors_of(groups)
    models = [group for group in groups if not is_projector(group.stem)]
    for group in models:
        yield Candidate(
            name=prefix + group.stem,
            source=source,
            format=FileFormat.GGUF,
            path=group.paths[0],
            paths=group.paths,
            projector_path=projector_of(group.stem, projectors, one_model or len(models) == 1),
            hint=group.stem,
        )
    for name in chosen:
        if found := UNFINISHED.fullmatch(name):
            path = os.path.join(folder, name)
            yield unfinished(prefix + found["stem"], source, path)


def is_gguf(name: str) -> bool:
    """Tell by its name whether a file is GGUF."""
    return name.lower().endswith(SUFFIX)


def is_projector(stem: str) -> bool:
    """Tell by its name whether a file is a projector: that is how all programs tell."""
    return "mmproj" in stem.lower()


def grouped(names: Sequence[str], folder: str) -> list[Group]:
    """Put the parts of split models together."""
    found: dict[str, list[str]] = {}
    for name in names:
        part = NAME.fullmatch(name)
        stem = f"{part['stem']}\0{part['count']}" if part else name[: -len(SUFFIX)]
        found.setdefault(stem, []).append(os.path.join(folder, name))
    return [
        Group(stem=stem.partition("\0")[0], paths=tuple(paths)) for stem, paths in found.items()
    ]


def projectors_of(groups: Iterable[Group]) -> Projectors:
    """Return the projectors' paths, the preferred first, with the words that tell whose each is."""
    found = [group for group in groups if is_projector(group.stem)]
    found.sort(key=_preference)
    return {group.paths[0]: words(group.stem) - PLAIN_WORDS for group in found}


def projector_of(stem: str, projectors: Projectors, all_fit: bool) -> str | None:
    """Return the projector that belongs to the model of that name, if one of them does."""
    own = words(stem)
    fitting = (path for path, its in projectors.items() if all_fit or (its and its <= own))
    return next(fitting, None)


def words(stem: str) -> frozenset[str]:
    """Return what a file's name is made of."""
    return frozenset(WORDS.findall(stem.lower()))


def _preference(group: Group) -> int:
    found = words(group.stem)
    return next((at for at, kind in enumerate(PREFERRED) if kind in found), len(PREFERRED))


def unfinished(name: str, source: Source, path: str) -> Candidate:
    """Return a download that was begun."""
    try:
        so_far = f"{format_bytes(os.path.getsize(path))} so far"
    except (OSError, ValueError):
        so_far = "it is gone by now"
    return Candidate(
        name=name,
        source=source,
        format=FileFormat.GGUF,
        path=path,
        paths=(path,),
        problem=f"the download is not finished: {so_far}",
    )
