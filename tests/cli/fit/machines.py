"""Machines to ask about models: what is recorded of them, and what a look at them gives."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fit.files import GgufFile, write
from tests.fit.made import tensor
from tests.fit.truth import header_path
from tests.snapshots import a_gpu, a_process, a_snapshot
from vramline.cli import run
from vramline.machine import Machine
from vramline.readings import Snapshot
from vramline.units import GIB, MIB

SERVER = {"/opt/llama/llama-server": "", "/opt/llama/libggml-cuda.so": ""}

SMALL_CARD = a_snapshot(
    a_gpu(
        0,
        name="NVIDIA GeForce RTX 3070",
        cuda_index=0,
        memory_total_bytes=8 * GIB,
        memory_used_bytes=3 * GIB + 200 * MIB,
        memory_free_bytes=5 * GIB - 200 * MIB,
        memory_bandwidth_bytes_per_second=448 * 10**9,
        processes=(
            a_process(4242, 3 * GIB, name="firefox"),
            a_process(900, 200 * MIB, name="Xorg"),
        ),
    )
)
"""8 GiB, of which a browser holds 3."""

LARGE_CARD = a_snapshot(a_gpu(0, cuda_index=0))
TWO_CARDS = a_snapshot(a_gpu(0, cuda_index=0), a_gpu(1, cuda_index=1))
NO_CARD = a_snapshot()


def recording(folder: Path, **sections: Any) -> str:
    """Write a machine down that has llama-server, built for CUDA, and return where."""
    whole = {
        "format": 1,
        "platform": "linux",
        "which": {"llama-server": "/opt/llama/llama-server"},
        "files": SERVER,
        **sections,
    }
    return str(write(folder / "machine.json", json.dumps(whole)))


def ask(
    capsys: pytest.CaptureFixture[str],
    machine: str,
    snapshot: Snapshot,
    *arguments: str,
) -> tuple[int, str, str]:
    """Run a command on a recorded machine, and return its status and what it printed."""

    def look(_machine: Machine) -> Snapshot:
        return snapshot

    status = run([*arguments, "--from", machine], look=look)
    return status, *capsys.readouterr()


def header(name: str) -> str:
    """Return where the measured model's header lies."""
    return str(header_path(f"r-{name}.gguf"))


def a_model(folder: Path, name: str = "tiny", layers: int = 2, *, causal: bool = True) -> str:
    """Write a whole small model, and return where."""
    keys = {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.context_length": 8192,
        "llama.embedding_length": 256,
        "llama.feed_forward_length": 512,
        "llama.attention.head_count": 4,
        "llama.vocab_size": 1000,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": 64,
        "llama.attention.causal": causal,
    }
    shapes = {
        "attn_norm.weight": (256,),
        "attn_q.weight": (256, 256),
        "attn_k.weight": (256, 256),
        "attn_v.weight": (256, 256),
        "attn_output.weight": (256, 256),
        "ffn_norm.weight": (256,),
        "ffn_gate.weight": (256, 512),
        "ffn_up.weight": (256, 512),
        "ffn_down.weight": (512, 256),
    }
    tensors = [tensor("token_embd.weight", 256, 1000), tensor("output.weight", 256, 1000)]
    tensors += [tensor("output_norm.weight", 256)]
    for layer in range(layers):
        tensors += [tensor(f"blk.{layer}.{each}", *shape) for each, shape in shapes.items()]
    content = GgufFile(metadata=keys, tensors=tensors).to_bytes()
    return str(write(folder / f"{name}.gguf", content))
