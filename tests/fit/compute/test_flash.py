"""Which heads and types of the cache each backend computes flash attention for."""

import pytest

from tests.fit.made import layout
from vramline.fit.compute.flash import attends_everywhere
from vramline.fit.model import Value
from vramline.fit.settings import Backend, Device, Settings
from vramline.fit.tensor_types import TensorType

F16, BF16, Q8_0, Q4_1, IQ4_NL = (
    TensorType.F16,
    TensorType.BF16,
    TensorType.Q8_0,
    TensorType.Q4_1,
    TensorType.IQ4_NL,
)


def attending(lengths: tuple[int, int], kinds: tuple[TensorType, TensorType]) -> set[Backend]:
    """Name the backends that compute it for eight heads, of which each four share keys."""
    keys: dict[str, Value] = {
        "attention.key_length": lengths[0],
        "attention.value_length": lengths[1],
    }
    shape = layout("llama", 2, keys).shape
    return {
        backend
        for backend in Backend
        if attends_everywhere(
            shape,
            Settings(
                devices=(Device(uid="gpu", backend=backend),),
                cache_type_k=kinds[0],
                cache_type_v=kinds[1],
            ),
        )
    }


CUDA = {Backend.CUDA, Backend.ROCM}
EVERY = set(Backend)


@pytest.mark.parametrize(
    ("lengths", "kinds", "backends"),
    [
        ((128, 128), (F16, F16), EVERY),
        ((128, 128), (Q8_0, Q8_0), EVERY),
        ((128, 128), (Q8_0, F16), CUDA | {Backend.VULKAN}),
        ((128, 128), (Q4_1, Q4_1), EVERY - {Backend.SYCL}),
        ((128, 128), (BF16, F16), CUDA),
        ((128, 128), (BF16, BF16), EVERY),
        ((128, 128), (IQ4_NL, IQ4_NL), {Backend.VULKAN}),
        ((32, 32), (F16, F16), {Backend.METAL, Backend.VULKAN}),
        ((72, 64), (F16, F16), {Backend.VULKAN}),
        ((100, 100), (F16, F16), set()),
        ((192, 128), (F16, F16), {Backend.METAL, Backend.VULKAN}),
        ((512, 512), (F16, F16), EVERY),
        ((576, 512), (F16, F16), EVERY),
    ],
)
def test_backends_compute_it_for_some_heads_and_types(
    lengths: tuple[int, int],
    kinds: tuple[TensorType, TensorType],
    backends: set[Backend],
) -> None:
    assert attending(lengths, kinds) == backends


def test_every_device_has_to() -> None:
    shape = layout("llama", 2, {"attention.key_length": 32, "attention.value_length": 32}).shape
    metal, cuda = (Device(uid=each, backend=each) for each in (Backend.METAL, Backend.CUDA))

    assert attends_everywhere(shape, Settings(devices=(metal,)))
    assert not attends_everywhere(shape, Settings(devices=(metal, cuda)))
    assert attends_everywhere(shape, Settings())
