"""A plan over a thousand candidates: how long the answer takes, by what machine it is for.

The exact parts and the bounds alone: nothing is replayed. Every candidate has a layout of its own,
and none was looked at before, but for what is worked out of it once.
"""

import gc
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.result import Goal, Report, Result, Table
from tests.fit.truth import model_of, runs
from vramline.fit.need import lay_out
from vramline.fit.plan.candidates import Candidate, candidate_of
from vramline.fit.plan.planning import plan
from vramline.fit.plan.wish import Wish
from vramline.fit.settings import Backend
from vramline.readings import GpuReading, HostReading, Snapshot
from vramline.units import GIB

RANK_MS = 100.0
"""What ranking a thousand candidates may take."""

GOAL_COUNT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    candidates: int = GOAL_COUNT
    rounds: int = 7


QUICK = Sizes(candidates=32, rounds=2)


def run(_library: Path, sizes: Sizes) -> Report:
    """Measure every machine, each in its own order of candidates a round."""
    wish = Wish(backends=(Backend.CUDA,), replay=False)
    results = []
    for case, machine in machines().items():
        values = []
        for number in range(sizes.rounds):
            candidates = made(sizes.candidates)
            random.Random(number).shuffle(candidates)
            gc.collect()  # What making them left behind is no part of the answer.
            values.append(taken(machine, candidates, wish))
        results.append(
            Result(
                case=f"{sizes.candidates} candidates", subject=case, unit="ms", values=tuple(values)
            )
        )
    table = Table(title="A plan, by machine", results=tuple(results))
    reached = (
        Goal(
            text=f"{sizes.candidates} candidates, {each.subject}",
            value=each.median,
            limit=RANK_MS,
            unit="ms",
        )
        for each in results
    )
    return Report(tables=(table,), goals=tuple(reached))


def taken(machine: Snapshot, candidates: Sequence[Candidate], wish: Wish) -> float:
    """Return the milliseconds that one plan takes."""
    begun = time.perf_counter()
    plan(machine, candidates, wish)
    return (time.perf_counter() - begun) * 1e3


def made(count: int) -> list[Candidate]:
    """Make so many candidates of the headers that were measured, each laid out anew."""
    headers = sorted({each.header for each in runs()})
    chosen = (headers[at % len(headers)] for at in range(count))
    return [
        candidate_of(f"{header}-{number}", lay_out(model_of(header)))
        for number, header in enumerate(chosen)
    ]


def machines() -> dict[str, Snapshot]:
    """Return the machines that are planned for."""
    card = GpuReading(
        uid="GPU-1",
        vendor="nvidia",
        memory_total_bytes=8 * GIB,
        memory_free_bytes=5 * GIB,
        memory_bandwidth_bytes_per_second=272 * 10**9,
    )
    large = replace(card, memory_total_bytes=24 * GIB, memory_free_bytes=23 * GIB)
    return {
        "8 GiB, 3 of them held": machine(card),
        "two of 24 GiB": machine(large, replace(large, uid="GPU-2")),
        "no device": machine(),
    }


def machine(*gpus: GpuReading) -> Snapshot:
    """Return one with 64 GiB of memory."""
    return Snapshot(
        taken_at=datetime(2026, 1, 1, tzinfo=UTC),
        host=HostReading(memory_total_bytes=64 * GIB, memory_available_bytes=48 * GIB),
        gpus=gpus,
    )
