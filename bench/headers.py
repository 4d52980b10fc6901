"""What reading a model file's header costs, and what the ``gguf`` package takes for the same.

The files are made anew: their words are none of a real vocabulary, but as long.
"""

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.result import Goal, Report, Result, Table, find, per_round
from tests.fit.files import GgufFile
from vramline.fit.files import read_model
from vramline.fit.model import Tensor
from vramline.fit.tensor_types import TensorType

VRAMLINE = "vramline.fit.files.read_model()"
PEER = "gguf.GGUFReader()"
PEER_MODULE = "gguf"
HEADER_MS = 40.0
PEER_RATIO = 0.01

WORD_BYTES = (1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 12, 16)
"""Tokens of current vocabularies are six or seven bytes long on average, and seldom above 16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        words: Of the vocabularies; there are as many merges.
    """

    rounds: int = 5
    words: tuple[int, ...] = (150_000, 32_000, 0)
    layers: int = 32


QUICK = Sizes(rounds=1, words=(100,), layers=1)


def run(library: Path, sizes: Sizes) -> Report:
    """Read the header of every vocabulary with every program, by turns."""
    del library  # no driver has a part in it
    programs = subjects()
    results: list[Result] = []
    with TemporaryDirectory() as folder:
        for words in sizes.words:
            path = write_model(Path(folder) / f"{words}.gguf", words, sizes.layers)
            values = by_turns(programs, path, sizes.rounds)
            results += [
                Result(case=case(words), subject=name, unit="ms", values=each)
                for name, each in values.items()
            ]
    table = Table(
        title=f"The header of a model with {sizes.layers} layers",
        results=tuple(results),
        not_installed=() if PEER in programs else (PEER,),
    )
    return Report(tables=(table,), goals=goals(results, case(sizes.words[0])))


def case(words: int) -> str:
    """Return what a file with such a vocabulary is called."""
    return f"{words:,} tokens and merges" if words else "no vocabulary"


def subjects() -> Mapping[str, Callable[[Path], object]]:
    """Return the programs that are installed here."""
    found: dict[str, Callable[[Path], object]] = {VRAMLINE: read_model}
    if find_spec(PEER_MODULE) is not None:
        found[PEER] = import_module(PEER_MODULE).GGUFReader
    return found


def by_turns(
    programs: Mapping[str, Callable[[Path], object]], path: Path, rounds: int
) -> Mapping[str, tuple[float, ...]]:
    """Return how long each program took for the file in each round, in ms."""
    read_model(path)  # the file is in memory then, and what is compiled on first use is compiled
    values: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            begun = time.perf_counter()
            program(path)
            values[name].append((time.perf_counter() - begun) * 1e3)
    return {name: tuple(each) for name, each in values.items()}


def write_model(path: Path, words: int, layers: int) -> Path:
    """Write a model with such a vocabulary, and weights that take no room on the disk."""
    vocabulary = [word.encode() for word in made_up(words)]
    metadata: dict[str, object] = {"general.architecture": "llama", "llama.block_count": layers}
    if words:
        metadata |= {
            "tokenizer.ggml.tokens": vocabulary,
            "tokenizer.ggml.token_type": [1] * words,
            "tokenizer.ggml.merges": [word[:1] + b" " + word[1:] for word in vocabulary],
        }
    file = GgufFile(metadata=metadata, tensors=tensors(layers), weights=False)
    path.write_bytes(file.to_bytes())
    whole = read_model(path, weights=False)
    os.truncate(path, whole.file_bytes + whole.missing_bytes)
    return path


def made_up(count: int) -> list[str]:
    """Return so many words, the same every time."""
    source = random.Random(1)
    return [
        "".join(source.choices("abcdefghij", k=source.choice(WORD_BYTES))) for _ in range(count)
    ]


def tensors(layers: int) -> tuple[Tensor, ...]:
    """Return the tensors of a model like Llama's, in small."""
    norm = Tensor(name="attn_norm", type=TensorType.F32, shape=(256,))
    matrix = replace(norm, type=TensorType.Q4_K, shape=(256, 64))
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    block = (norm, replace(norm, name="ffn_norm"), *(replace(matrix, name=name) for name in names))
    return tuple(
        replace(each, name=f"blk.{layer}.{each.name}.weight")
        for layer in range(layers)
        for each in block
    )


def goals(results: list[Result], largest: str) -> tuple[Goal, ...]:
    """Compare with what was aimed at, as far as it was measured."""
    ours = find(results, case=largest, subject=VRAMLINE)
    theirs = find(results, case=largest, subject=PEER)
    reached = []
    if ours:
        text = f"a header with {largest}"
        reached.append(Goal(text=text, value=ours.median, limit=HEADER_MS, unit="ms"))
    if ours and theirs:
        text = f"the same, to {PEER}"
        value = per_round(ours, theirs).median
        reached.append(Goal(text=text, value=value, limit=PEER_RATIO, unit="x"))
    return tuple(reached)
