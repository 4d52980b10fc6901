"""What was said of a load, what llama.cpp logged of it, and what the process took."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.real.models import GEMMA3, LLAMA, MAMBA, QWEN3, Made
from vramline.cli.fit.processor import processor_of
from vramline.fit.amounts import Amount, Item, Part
from vramline.fit.estimate import estimate, lay_out_any
from vramline.fit.files import read_model
from vramline.fit.items import Layout
from vramline.fit.need import MemoryNeed
from vramline.fit.output import output_bytes
from vramline.fit.settings import HOST, FlashAttention, Runner, Settings, settings_of
from vramline.fit.tensor_types import TensorType
from vramline.machine import LiveMachine
from vramline.readings import FrozenDict
from vramline.units import MIB

SECONDS = 300
"""A model of some megabytes is loaded in two."""

Q8_0 = 8
LOGGED = re.compile(r"(\S+) +(model|KV|RS|output|compute) buffer size *= *([\d.]+) MiB")
PARTS: Mapping[str, tuple[Part, ...]] = {
    "model": (Part.WEIGHTS,),
    "KV": (Part.KV_CACHE,),
    "RS": (Part.RECURRENT_STATE,),
    "output": (Part.OUTPUT,),
    "compute": (Part.COMPUTE,),
}
"""What llama.cpp calls them."""

ROUNDED_MIB = 0.005
"""llama.cpp tells two digits after the point."""


NOTHING: Mapping[str, object] = FrozenDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One model, and how it is loaded.

    Attributes:
        arguments: ``Llama``'s.
        settings: The same as vramline calls it: what changes of the runner's defaults.
        options: The same for ``vramline fit``; ``None`` where it has none for it.
    """

    made: Made
    arguments: Mapping[str, object] = NOTHING
    settings: Mapping[str, object] = NOTHING
    options: tuple[str, ...] | None = ()


LOADS = (
    Load(made=LLAMA),
    Load(
        made=LLAMA,
        arguments={"n_ctx": 1536, "flash_attn": True, "type_k": Q8_0, "type_v": Q8_0},
        settings={
            "context_tokens": 1536,
            "flash_attention": FlashAttention.ON,
            "cache_type_k": TensorType.Q8_0,
            "cache_type_v": TensorType.Q8_0,
        },
        options=("-c", "1536", "-fa", "on", "-ctk", "q8_0", "-ctv", "q8_0"),
    ),
    Load(
        made=LLAMA,
        arguments={"n_ctx": 2000, "n_batch": 1024, "n_ubatch": 128, "use_mmap": False},
        settings={
            "context_tokens": 2000,
            "batch_tokens": 1024,
            "micro_batch_tokens": 128,
            "map_file": False,
        },
        options=("-c", "2000", "-b", "1024", "-ub", "128", "--no-mmap"),
    ),
    Load(
        made=LLAMA,
        arguments={"embedding": True},
        settings={"embeddings": True, "sequences": 256, "unified_cache": True},
        options=("--embeddings", "-np", "256", "-kvu"),
    ),
    Load(made=QWEN3),
    Load(
        made=QWEN3,
        arguments={"n_ctx": 2048, "n_batch": 256, "n_ubatch": 64, "flash_attn": True},
        settings={
            "context_tokens": 2048,
            "batch_tokens": 256,
            "micro_batch_tokens": 64,
            "flash_attention": FlashAttention.ON,
        },
        options=("-c", "2048", "-b", "256", "-ub", "64", "-fa", "on"),
    ),
    Load(made=GEMMA3),
    Load(
        made=GEMMA3,
        arguments={"n_ctx": 4096, "swa_full": False},
        settings={"context_tokens": 4096, "full_window_cache": False},
        options=None,
    ),
    Load(
        made=GEMMA3,
        arguments={"n_ctx": 4096, "n_ubatch": 256, "swa_full": False, "flash_attn": True},
        settings={
            "context_tokens": 4096,
            "micro_batch_tokens": 256,
            "full_window_cache": False,
            "flash_attention": FlashAttention.ON,
        },
        options=None,
    ),
    Load(made=MAMBA),
    Load(
        made=MAMBA,
        arguments={"n_ctx": 2048, "n_batch": 256},
        settings={"context_tokens": 2048, "batch_tokens": 256},
        options=("-c", "2048", "-b", "256"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """One of the buffers: what was said, and logged, in MiB.

    Attributes:
        lines: How many of llama.cpp's lines were added up, each rounded.
    """

    name: str
    said: float
    logged: float
    lines: int

    @property
    def is_equal(self) -> bool:
        """Whether the two are the same, to the digits that are logged."""
        return abs(self.said - self.logged) <= self.lines * ROUNDED_MIB + 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One load."""

    load: Load
    buffers: tuple[Buffer, ...]
    said: Amount
    taken_bytes: int

    @property
    def is_right(self) -> bool:
        """Whether every buffer is equal, and the process took what was said."""
        within = self.said.low_bytes <= self.taken_bytes <= self.said.high_bytes
        return within and all(buffer.is_equal for buffer in self.buffers)


def compare(load: Load, path: Path) -> Comparison:
    """Say what the load will take, then do it."""
    settings = replace(
        settings_of(Runner.LLAMA_CPP_PYTHON, **load.settings),
        processor=processor_of(LiveMachine()),
    )
    layout = lay_out_any(read_model(path))
    if not isinstance(layout, Layout):
        raise TypeError(f"{path} is no GGUF file")
    options = load.options
    need = estimate(layout, settings) if options is None else say(path, options)
    log, figures = load_really(load, path)
    return Comparison(
        load=load,
        buffers=buffers_of(need, log),
        said=of_process(need, layout, settings, figures["rows"]),
        taken_bytes=figures["computed"],
    )


def say(path: Path, options: Sequence[str]) -> MemoryNeed:
    """Return what the command says of the model, which names the file and little else.

    Raises ``RuntimeError`` where it says nothing.
    """
    command = (sys.executable, "-m", "vramline", "fit", str(path), "--need", "--json")
    runner = ("--runner", Runner.LLAMA_CPP_PYTHON, "--device", "none")
    text = run([*command, *runner, *options], statuses=(0, 1)).stdout
    return need_in(json.loads(text)["need"])


def need_in(document: Mapping[str, Any]) -> MemoryNeed:
    """Read a need as ``--json`` has it."""
    items = tuple(
        Item(
            part=Part(each["part"]),
            place=each["place"],
            amount=Amount(**{name: each[name] for name in ("bytes", "low_bytes", "high_bytes")}),
            rule=each["rule"],
            mapped=each["mapped"],
        )
        for each in document["items"]
    )
    return MemoryNeed(items=items, file_cache_bytes=document["file_cache_bytes"])


def run(command: Sequence[str], statuses: Sequence[int]) -> subprocess.CompletedProcess[str]:
    """Run a command. Raises ``RuntimeError`` where its status is none of those."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
    )
    if done.returncode not in statuses:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    return done


def load_really(load: Load, path: Path) -> tuple[str, dict[str, int]]:
    """Load the model in a process of its own; return its log, and what it took.

    Raises ``RuntimeError`` where it did not come so far.
    """
    command = [sys.executable, "-m", "tests.real.load", str(path), json.dumps(dict(load.arguments))]
    done = run(command, statuses=(0,))
    return done.stderr, json.loads(done.stdout)


def buffers_of(need: MemoryNeed, log: str) -> tuple[Buffer, ...]:
    """Compare each buffer that was said or logged."""
    logged: dict[str, list[float]] = defaultdict(list)
    for _, name, size in LOGGED.findall(log):
        logged[name].append(float(size))
    told = {name: sum(need.of(part).bytes for part in parts) for name, parts in PARTS.items()}
    told["model"] += need.file_cache_bytes
    return tuple(
        Buffer(
            name=name,
            said=told[name] / MIB,
            logged=sum(logged[name]),
            lines=max(len(logged[name]), 1),
        )
        for name in PARTS
        if told[name] or logged[name]
    )


def of_process(need: MemoryNeed, layout: Layout, settings: Settings, rows: int) -> Amount:
    """Return what the process should hold once *rows* tokens have asked for their logits."""
    first = need.of(Part.OUTPUT).bytes
    more = max(output_bytes(layout.shape, settings, rows) - first, 0) + need.file_cache_bytes
    every = need.at(HOST)
    return Amount(
        bytes=every.bytes + more,
        low_bytes=every.low_bytes + more,
        high_bytes=need_high(need) + more,
    )


def need_high(need: MemoryNeed) -> int:
    """Return the most that is said, the output apart, whose growth is known here."""
    output = need.of(Part.OUTPUT)
    return need.at(HOST).high_bytes - output.high_bytes + output.bytes
