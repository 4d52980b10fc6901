"""What a look at the models on a disk costs: at first, when nothing has changed, and when one has.

The files differ in their names alone, but nothing of one is used for another.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.headers import made_up
from bench.result import Goal, Report, Result, Table, find
from tests.fit.files import GgufFile
from vramline.fit.estimate import estimate
from vramline.fit.files import read_model
from vramline.fit.library import (
    NAME,
    VERSION,
    FoundModel,
    Library,
    Place,
    Source,
    layout_of,
    look,
)
from vramline.fit.model import Tensor
from vramline.fit.settings import Device, Runner, settings_of
from vramline.fit.tensor_types import TensorType
from vramline.store import HOME, Store, open_store

VRAMLINE = "vramline.fit.library.look()"
LAID_OUT = "vramline.fit.library.layout_of(), vramline.fit.estimate.estimate(quick=True)"
COLD, UNCHANGED, ONE_CHANGED = "from cold", "unchanged", "one changed"
COLD_MS, UNCHANGED_MS = 30_000.0, 100.0
NUMBER = b"number 000000"
WIDTH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        words: Of each file's vocabulary; there are as many merges.
    """

    rounds: int = 5
    files: int = 1000
    words: int = 150_000
    layers: int = 32


QUICK = Sizes(rounds=1, files=3, words=100, layers=1)


def run(library: Path, sizes: Sizes) -> Report:
    """Look at so many models."""
    del library  # no driver has a part in it
    with TemporaryDirectory() as folder:
        disk = Path(folder) / "models"
        disk.mkdir()
        write_models(disk, sizes)
        store = open_store(
            NAME, version=VERSION, environ={HOME: str(Path(folder) / "kept")}, platform="linux"
        )
        results = measure(disk, store, sizes)
    table = Table(
        title=f"{sizes.files:,} models, each with {sizes.words:,} tokens and as many merges",
        results=tuple(results),
    )
    return Report(tables=(table,), goals=goals(results, sizes))


def measure(disk: Path, store: Store, sizes: Sizes) -> list[Result]:
    """Look once, again and again, and again after each change."""
    place = Place(source=Source.FOLDER, path=str(disk))
    shown: list[int] = []

    def once(expected: int) -> float:
        begun = time.perf_counter()
        found = look([place], store, progress=lambda done, _count, _name: shown.append(done))
        taken = (time.perf_counter() - begun) * 1e3
        if (len(found.models), found.read_count) != (sizes.files, expected):
            raise RuntimeError(f"{len(found.models)} models, of which {found.read_count} were read")
        return taken

    def changed(at: int) -> float:
        path = disk / f"{at}.gguf"
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        return once(1)

    values = {
        COLD: (once(sizes.files),),
        UNCHANGED: tuple(once(0) for _ in range(sizes.rounds)),
        ONE_CHANGED: tuple(changed(at % sizes.files) for at in range(sizes.rounds)),
    }
    if len(shown) != sizes.files + sizes.rounds:
        raise RuntimeError("the progress was not shown")
    results = [
        Result(case=case, subject=VRAMLINE, unit="ms", values=each) for case, each in values.items()
    ]
    found = look([place], store)
    laid_out = tuple(timed(lambda: need_all(found)) for _ in range(sizes.rounds))
    return [*results, Result(case=UNCHANGED, subject=LAID_OUT, unit="ms", values=laid_out)]


def timed(action: Callable[[], object]) -> float:
    """Return how long it took, in ms."""
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1e3


def need_all(library: Library) -> list[int]:
    """Return what every model needs on one GPU, from what is kept alone."""
    settings = settings_of(Runner.LLAMA_SERVER, devices=(Device(uid="gpu"),))

    def need(found: FoundModel) -> int:
        return estimate(layout_of(found), settings, quick=True).total.bytes

    return [need(found) for found in library.models]


def write_models(disk: Path, sizes: Sizes) -> None:
    """Write the files. Their weights take no room on the disk, and the headers stay in memory."""
    header = GgufFile(
        metadata=metadata(sizes), tensors=tensors(sizes.layers), weights=False
    ).to_bytes()
    for at in range(sizes.files):
        path = disk / f"{at}.gguf"
        with path.open("wb") as file:
            file.write(header.replace(NUMBER, b"number %06d" % at))
        if at == 0:
            whole = read_model(path, weights=False)
        os.truncate(path, whole.file_bytes + whole.missing_bytes)


def metadata(sizes: Sizes) -> dict[str, object]:
    """Return the keys of a model like Llama's."""
    vocabulary = [word.encode() for word in made_up(sizes.words)]
    return {
        "general.architecture": "llama",
        "general.name": NUMBER,
        "general.file_type": 15,
        "llama.block_count": sizes.layers,
        "llama.context_length": 131072,
        "llama.embedding_length": WIDTH,
        "llama.feed_forward_length": 4 * WIDTH,
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8,
        "tokenizer.ggml.tokens": vocabulary,
        "tokenizer.ggml.token_type": [1] * sizes.words,
        "tokenizer.ggml.merges": [word[:1] + b" " + word[1:] for word in vocabulary],
    }


def tensors(layers: int) -> tuple[Tensor, ...]:
    """Return some 300 tensors for 32 layers, of two types as ``Q4_K_M`` has them."""
    rows = {"attn_q": WIDTH, "attn_k": 1024, "attn_v": 1024, "attn_output": WIDTH}
    rows |= {"ffn_gate": 4 * WIDTH, "ffn_up": 4 * WIDTH, "ffn_down": 4 * WIDTH}
    found = [Tensor(name="token_embd.weight", type=TensorType.Q4_K, shape=(WIDTH, 1024))]
    for layer in range(layers):
        for name, count in rows.items():
            kind = TensorType.Q6_K if name == "ffn_down" and layer % 2 else TensorType.Q4_K
            full = f"blk.{layer}.{name}.weight"
            found.append(Tensor(name=full, type=kind, shape=(WIDTH, count)))
        for name in ("attn_norm", "ffn_norm"):
            full = f"blk.{layer}.{name}.weight"
            found.append(Tensor(name=full, type=TensorType.F32, shape=(WIDTH,)))
    return tuple(found)


def goals(results: list[Result], sizes: Sizes) -> tuple[Goal, ...]:
    """Compare with what was aimed at."""
    reached = []
    for case, limit in ((COLD, COLD_MS), (UNCHANGED, UNCHANGED_MS)):
        found = find(results, case=case, subject=VRAMLINE)
        if found:
            text = f"{sizes.files:,} models, {case}"
            reached.append(Goal(text=text, value=found.median, limit=limit, unit="ms"))
    return tuple(reached)
