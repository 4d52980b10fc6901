"""One look at what models there are."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from vramline.fit.library.children import Readers, children_for, start_children
from vramline.fit.library.folders import Folders
from vramline.fit.library.found import Candidate, FoundModel, Library
from vramline.fit.library.headers import (
    Files,
    Summary,
    keep_summary,
    kept_summary,
    model_found,
    read,
    stat_all,
)
from vramline.fit.library.kept import Kept
from vramline.fit.library.owners import candidates
from vramline.fit.library.places import Place
from vramline.store import Store

SAVE_SECONDS = 2.0
"""So often what was read is written down: a look that is broken off was not for nothing."""

Progress = Callable[[int, int, str], None]
"""Is told of each header that was read: how many are, of how many, and the model's name."""

Identity = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A header that is to be read."""

    candidate: Candidate
    files: Files


class Look:
    """One look, in the making."""

    def __init__(self, kept: Kept) -> None:
        self.read_count = 0
        self._kept = kept
        self._files: list[tuple[Candidate, Files | str]] = []
        self._summaries: dict[Identity, Summary] = {}

    def remember(self, every: Iterable[Candidate]) -> list[Pending]:
        """Take what is kept of the candidates; return those that are to be read."""
        pending: dict[Identity, Pending] = {}
        for candidate in every:
            files = stat_all(candidate)
            self._files.append((candidate, files))
            if isinstance(files, str) or candidate.problem:
                continue
            identity = _identity(files)
            if identity in self._summaries or identity in pending:
                continue
            found = kept_summary(candidate, files, self._kept)
            if found is None:
                pending[identity] = Pending(candidate=candidate, files=files)
            else:
                self._summaries[identity] = found
        return list(pending.values())

    def read(
        self, pending: list[Pending], progress: Progress | None, clock: Callable[[], float]
    ) -> None:
        """Read headers, and keep what is in them."""
        saved_at = clock()
        for done, (each, found) in enumerate(read_all(pending), 1):
            self.read_count = done
            self._summaries[_identity(each.files)] = found
            keep_summary(each.candidate, each.files, found, self._kept)
            if progress:
                progress(done, len(pending), each.candidate.name)
            if clock() - saved_at > SAVE_SECONDS:
                self._kept.save()
                saved_at = clock()

    def models(self) -> Iterator[tuple[Identity, FoundModel]]:
        """Give what each candidate is, with what tells its files from others."""
        for candidate, files in self._files:
            if isinstance(files, str):
                problem = candidate.problem or files
                yield (), model_found(candidate, (), Summary(problem=problem))
                continue
            summary = self._summaries.get(_identity(files), Summary())
            if summary.is_model or candidate.problem:
                yield _identity(files), model_found(candidate, files, summary)


def read_all(pending: list[Pending]) -> Iterator[tuple[Pending, Summary]]:
    """Read the headers, some at once."""
    count = children_for(len(pending))
    if not count:
        yield from ((each, read(each.candidate)) for each in pending)
        return
    from concurrent.futures import ThreadPoolExecutor

    readers = Readers(start_children(count))
    executor = ThreadPoolExecutor(count, thread_name_prefix="vramline-headers")
    try:
        found = executor.map(readers.read, [each.candidate for each in pending])
        yield from zip(pending, found, strict=True)
    finally:
        executor.shutdown(cancel_futures=True)
        readers.close()


def look(
    places: Iterable[Place],
    store: Store,
    *,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Library:
    """Look for models in *places*, and read the headers that are new or have changed.

    Nothing stops it: what cannot be looked into is told in the result. *store* has the headers
    from before.
    """
    folders, kept = Folders(), Kept(store)
    every = [candidate for place in places for candidate in candidates(place, folders, kept)]
    looking = Look(kept)
    try:
        looking.read(looking.remember(every), progress, clock)
    finally:
        kept.forget_gone(clock())
        kept.save()
    return Library(
        models=tuple(
            sorted(merged(looking.models()), key=lambda found: (found.name.casefold(), found.path))
        ),
        unreadable=tuple(folders.unreadable),
        read_count=looking.read_count,
    )


def merged(every: Iterable[tuple[Identity, FoundModel]]) -> list[FoundModel]:
    """Put the names of one model together. With another projector or adapter it is another."""
    found: dict[object, FoundModel] = {}
    for identity, model in every:
        key = (identity or model.path, model.projector_path, model.adapter_paths)
        first = found.setdefault(key, model)
        names = (first.name, *first.other_names)
        if first is not model and model.name not in names:
            found[key] = replace(first, other_names=(*first.other_names, model.name))
    return list(found.values())


def _identity(files: Files) -> Identity:
    return tuple((each.st_dev, each.st_ino) for each in files)
