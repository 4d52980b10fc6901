"""What was learned on this machine, as it is kept for this user."""

import json
import os
import sys

from vramline.fit.learned import Learned, forget, from_document, remember, to_document
from vramline.fit.settings import Runner
from vramline.store import Entries, Kind, Store, open_store

NAME = "learned"
KEY = "learned"


def learned_store() -> Store:
    """Return where it is kept."""
    return open_store(NAME, kind=Kind.STATE, environ=os.environ, platform=sys.platform)


def read_learned(store: Store) -> tuple[Learned, ...]:
    """Return what was learned."""
    return _parse(store.read((KEY,)).get(KEY))


def keep_learned(store: Store, new: tuple[Learned, ...]) -> bool:
    """Add what was learned; tell whether it was kept."""

    def added(entries: dict[str, bytes]) -> Entries:
        return {KEY: _written(remember(_parse(entries.get(KEY)), new))}

    return store.update(added, keys=(KEY,)) if new else True


def forget_learned(store: Store, runner: Runner | None) -> tuple[int, bool]:
    """Forget what was learned of a runner, or of all; return of how many, and whether it went."""
    known = read_learned(store)
    kept = forget(known, runner=runner)
    if len(kept) == len(known):
        return 0, True
    if not kept:
        return len(known), store.forget()

    def without(entries: dict[str, bytes]) -> Entries:
        return {KEY: _written(forget(_parse(entries.get(KEY)), runner=runner))}

    return len(known) - len(kept), store.update(without, keys=(KEY,))


def _parse(content: bytes | None) -> tuple[Learned, ...]:
    try:
        return from_document(json.loads(content)) if content else ()
    except (ValueError, RecursionError):
        return ()


def _written(known: tuple[Learned, ...]) -> bytes:
    return json.dumps(to_document(known)).encode()
