"""A machine, models and an estimator with round figures, to plan with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.fit.made import layout, tensor
from vramline.fit.amounts import Amount, Item, Part, about
from vramline.fit.items import Layout
from vramline.fit.learned import Learned
from vramline.fit.model import Tensor
from vramline.fit.need import NOTHING_CLAIMED, MemoryNeed, need_of
from vramline.fit.plan.candidates import AnyLayout, Candidate, candidate_of
from vramline.fit.settings import HOST, Settings
from vramline.fit.tensor_types import TensorType
from vramline.readings import GpuProcess, GpuReading, HostReading, ProcessKind, Snapshot
from vramline.units import GIB, MIB

BROWSER = GpuProcess(
    pid=77, name="firefox", memory_bytes=3 * GIB, kind=ProcessKind.GRAPHICS, user="ann"
)


def gpu(uid: str = "GPU-a", free: int = 8 * GIB, **changes: Any) -> GpuReading:
    """Make an NVIDIA card of 8 GiB with so much free."""
    card = GpuReading(
        uid=uid,
        vendor="nvidia",
        name="NVIDIA GeForce RTX 4060",
        memory_total_bytes=8 * GIB,
        memory_used_bytes=8 * GIB - free,
        memory_free_bytes=free,
        memory_bandwidth_bytes_per_second=272 * 10**9,
        processes=(),
    )
    return replace(card, **changes)


def snapshot(*gpus: GpuReading, available: int | None = 20 * GIB) -> Snapshot:
    """Make a machine with 32 GiB of memory."""
    return Snapshot(
        taken_at=datetime(2026, 1, 1, tzinfo=UTC),
        host=HostReading(memory_total_bytes=32 * GIB, memory_available_bytes=available),
        gpus=gpus,
    )


def dense(
    layers: int = 32, layer_bytes: int = 128 * MIB, *, trained: int = 32768, kv_heads: int = 8
) -> Layout:
    """Lay out a model whose layers take that much each, with an embedding of 2 MiB and a head."""
    # Rows of 1024 elements of F16.
    blocks = (tensor(f"blk.{at}.ffn_up.weight", 1024, layer_bytes // 2048) for at in range(layers))
    return laid_out(layers, blocks, trained, kv_heads)


def routed(layers: int = 32, layer_bytes: int = 16 * MIB, expert_bytes: int = 256 * MIB) -> Layout:
    """Lay out a model with eight experts, of which a token uses two."""
    blocks = (
        each
        for at in range(layers)
        for each in (
            tensor(f"blk.{at}.attn_q.weight", 1024, layer_bytes // 2048),
            tensor(f"blk.{at}.ffn_up_exps.weight", 1024, expert_bytes // 2048 // 8, 8),
        )
    )
    return laid_out(layers, blocks, 32768, 8, expert_count=8, expert_used_count=2)


def laid_out(layers: int, blocks: Any, trained: int, kv_heads: int, **keys: int) -> Layout:
    """Lay out a model of those tensors."""
    ends: tuple[Tensor, ...] = (
        tensor("token_embd.weight", 1024, 1000),
        tensor("output.weight", 1024, 1000),
    )
    every = {"context_length": trained, "attention.head_count_kv": kv_heads, **keys}
    return layout("llama", layers, dict(every), (*ends, *blocks))


def candidate(name: str, of: AnyLayout, **others: Any) -> Candidate:
    """Make a candidate."""
    return candidate_of(name, of, **others)


@dataclass
class Estimator:
    """Adds round figures to the exact parts, and counts what it was asked.

    The bounds lie half of what is computed with around it.
    """

    computed: int = 128 * MIB
    runtime: int = 256 * MIB
    quick: int = 0
    replayed: list[Settings] = field(default_factory=list)

    def __call__(
        self,
        layout: AnyLayout,
        settings: Settings,
        *,
        learned: Iterable[Learned] = (),
        device_bytes: Mapping[str, int] = NOTHING_CLAIMED,
        quick: bool = False,
    ) -> MemoryNeed:
        assert isinstance(layout, Layout)
        if quick:
            self.quick += 1
        else:
            self.replayed.append(settings)
        places = (HOST, *(device.uid for device in settings.devices))
        amount = about(self.computed, self.computed // 2 if quick else 0)
        runtime = Amount(
            bytes=self.runtime, low_bytes=self.runtime // 2, high_bytes=self.runtime * 2
        )
        more = (
            Item(part=part, place=place, amount=size, rule="made up")
            for place in places
            for part, size in ((Part.COMPUTE, amount), (Part.RUNTIME, runtime))
        )
        return need_of(layout, settings, more)


Q8_0 = TensorType.Q8_0
F16 = TensorType.F16
