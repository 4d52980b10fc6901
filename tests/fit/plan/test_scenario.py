"""A machine with 8 GiB of VRAM, 3 of them held by a browser, and ten models on disk."""

import pytest

from tests.fit.plan.standin import BROWSER, F16, Estimator, gpu, snapshot
from tests.fit.truth import layout_of
from vramline.fit.amounts import Amount
from vramline.fit.plan.candidates import Candidate, candidate_of
from vramline.fit.plan.flags import device_names, flags_of
from vramline.fit.plan.planning import plan
from vramline.fit.plan.rooms import Room
from vramline.fit.plan.values import (
    ChangeKind,
    Choice,
    Holder,
    HolderKind,
    Plan,
    RoomUse,
    Standing,
    Why,
)
from vramline.fit.plan.wish import Placement, Wish
from vramline.fit.settings import HOST, Backend, Device, Runner, settings_of
from vramline.units import GIB, MIB

MODELS = (
    "gemma3-4b",
    "gpt-oss-20b",
    "llama3.1-8b",
    "phi3-mini",
    "phi4-14b",
    "qwen2.5-7b",
    "qwen3-30b-a3b",
    "qwen3-4b",
    "qwen3-8b",
    "smollm2-135m",
)

MACHINE = snapshot(gpu(free=5 * GIB, cuda_index=0, processes=(BROWSER,)))


@pytest.fixture(scope="module")
def found() -> Plan:
    return plan(
        MACHINE,
        [named(name) for name in MODELS],
        Wish(backends=(Backend.CUDA,)),
        estimate=Estimator(),
    )


def named(name: str) -> Candidate:
    path = f"/models/{name}.gguf"
    return candidate_of(name, layout_of(f"r-{name}.gguf"), path=path, family=name.partition("-")[0])


def test_what_to_run(found: Plan) -> None:
    settings = settings_of(
        Runner.LLAMA_SERVER, context_tokens=8192, sequences=1, devices=(Device(uid="GPU-a"),)
    )
    candidate = named("qwen3-4b")
    need = Estimator()(candidate.layout, settings)
    choice = found.choice

    assert choice is not None
    assert choice == Choice(
        candidate=candidate,
        placement=Placement.DEVICES,
        settings=settings,
        context_tokens=8192,
        cache_type=F16,
        need=need,
        exact=True,
        uses=(
            RoomUse(
                room=Room(places=(HOST,), free_bytes=20 * GIB, keep_bytes=2 * GIB),
                needed=need.at(HOST),
            ),
            RoomUse(
                room=Room(places=("GPU-a",), free_bytes=5 * GIB, keep_bytes=GIB),
                needed=need.at("GPU-a"),
            ),
        ),
        speed=choice.speed,
    )
    assert candidate.layout.model.weight_bytes == 2491323904
    # Weights, 8192 tokens of 144 KiB, and the rest.
    needed = 2491323904 + 8192 * 144 * 1024 + 128 * MIB + 256 * MIB
    assert need.at("GPU-a") == Amount(
        bytes=needed, low_bytes=needed - 128 * MIB, high_bytes=needed + 256 * MIB
    )
    assert choice.uses[1].left_bytes == 5 * GIB - needed
    flags = flags_of(choice.settings, names=device_names(MACHINE))
    assert " ".join(flags.arguments) == (
        "--ctx-size 8192 --parallel 1 --n-gpu-layers 999 --device CUDA0"
    )


def test_how_fast(found: Plan) -> None:
    choice = found.choice

    assert choice is not None
    assert choice.speed is not None
    assert choice.speed.low is not None
    assert choice.speed.high is not None
    assert (round(choice.speed.low), round(choice.speed.high)) == (19, 93)


def test_what_else_there_is(found: Plan) -> None:
    assert [(each.candidate.name, each.placement) for each in found.choices] == [
        ("qwen3-4b", Placement.DEVICES),
        ("gemma3-4b", Placement.DEVICES),
        ("smollm2-135m", Placement.DEVICES),
    ]
    assert [
        (each.candidate.name, each.standing, each.placement, each.context_tokens)
        for each in found.ranking
    ] == [
        ("qwen3-4b", Standing.FITS, Placement.DEVICES, 8192),
        ("gemma3-4b", Standing.FITS, Placement.DEVICES, 8192),
        ("smollm2-135m", Standing.FITS, Placement.DEVICES, 8192),
        ("phi3-mini", Standing.LESS, Placement.DEVICES, 7936),
        ("qwen3-30b-a3b", Standing.OPEN, Placement.EXPERTS_ON_HOST, 8192),
        ("gpt-oss-20b", Standing.OPEN, Placement.EXPERTS_ON_HOST, 8192),
        ("phi4-14b", Standing.OPEN, Placement.PARTLY, 8192),
        ("qwen3-8b", Standing.OPEN, Placement.PARTLY, 8192),
        ("llama3.1-8b", Standing.OPEN, Placement.PARTLY, 8192),
        ("qwen2.5-7b", Standing.OPEN, Placement.PARTLY, 8192),
    ]


def test_why_no_better_model(found: Plan) -> None:
    nearest, next_one = found.refusals

    assert [each.candidate.name for each in (nearest, next_one)] == ["qwen2.5-7b", "llama3.1-8b"]
    assert (nearest.why, nearest.placement) == (Why.NO_ROOM, Placement.DEVICES)
    # By the middle of the bounds: what is expected, less the 4 GiB that there are.
    assert nearest.uses[1].missing_bytes == nearest.uses[1].needed.bytes - 4 * GIB
    assert nearest.holders == (
        Holder(
            kind=HolderKind.PROCESS,
            name="firefox",
            pid=77,
            place="GPU-a",
            held_bytes=3 * GIB,
        ),
    )
    change = nearest.change
    assert change is not None
    assert (change.kind, change.choice.placement) == (ChangeKind.ON_HOST, Placement.PARTLY)


def test_without_the_browser_a_better_one_fits() -> None:
    free = snapshot(gpu(free=8 * GIB))

    found = plan(
        free,
        [named(name) for name in MODELS],
        Wish(backends=(Backend.CUDA,)),
        estimate=Estimator(),
    )

    assert found.choice is not None
    assert (found.choice.candidate.name, found.choice.cache_type) == ("qwen3-8b", F16)
