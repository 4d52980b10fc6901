import pytest

from tests.snapshots import a_gpu, an_instance, asleep, without
from vramline.models.chosen import FREE, TOTAL, USED, choose_gpus, gigabytes
from vramline.readings import Cause, GpuReading, GpuState, MemoryPool
from vramline.units import GIB


def of(vendor: str, name: str, index: int = 0, *, pool: MemoryPool = MemoryPool.VRAM) -> GpuReading:
    return a_gpu(index, uid=f"{vendor}:{index}", vendor=vendor, name=name, memory_pool=pool)


RTX = a_gpu(0, cuda_index=1)
SECOND_RTX = a_gpu(1, cuda_index=0)
GB10 = a_gpu(0, name="NVIDIA GB10", uid="GPU-GB10", memory_pool=MemoryPool.UNIFIED, cuda_index=0)
RADEON = of("amd", "AMD Radeon RX 7900 XTX", 1)
APU = of("amd", "AMD Radeon 890M", pool=MemoryPool.GTT)
ARC = of("intel", "Intel Arc B580", 1)
UHD = of("intel", "Intel UHD 770", pool=MemoryPool.UNIFIED)
APPLE = of("apple", "Apple M4", pool=MemoryPool.UNIFIED)
NOUVEAU = without(
    a_gpu(0, uid="0000:01:00.0", name="NVIDIA GeForce GTX 1050", driver_version="6.12.10"),
    Cause.DRIVER_EXPOSES_NOTHING,
)
SLEEPING_NOUVEAU = without(
    without(NOUVEAU, Cause.DRIVER_EXPOSES_NOTHING, "compute_capability", state=GpuState.ASLEEP),
    Cause.ASLEEP,
)
TRACKED = without(a_gpu(0, uid="gpu-tracker:nvidia"), Cause.NOT_SUPPORTED, "index", "throttle")


@pytest.mark.parametrize(
    ("gpus", "chosen"),
    [
        ([RTX, SECOND_RTX], SECOND_RTX),
        ([RTX, RADEON, ARC], RTX),
        ([APU, RADEON, UHD, ARC], RADEON),
        ([APU, UHD, ARC], ARC),
        ([APU, UHD], APU),
        ([APPLE], APPLE),
        ([GB10, RADEON], GB10),
        ([GB10, a_gpu(1, cuda_index=1)], a_gpu(1, cuda_index=1)),
        ([asleep(0), RADEON], asleep(0)),
        ([NOUVEAU, APU], APU),
        ([NOUVEAU], NOUVEAU),
        ([TRACKED, RADEON], TRACKED),
        ([a_gpu(0, visible=False), APU], APU),
        ([a_gpu(0, visible=False)], None),
        ([], None),
    ],
    ids=lambda gpus: "" if isinstance(gpus, GpuReading | None) else " ".join(g.uid for g in gpus),
)
def test_the_likeliest_to_hold_a_model_is_chosen(
    gpus: list[GpuReading], chosen: GpuReading | None
) -> None:
    assert choose_gpus(gpus, None) == ([chosen] if chosen else [])


def test_a_gpu_whose_driver_tells_nothing_comes_last_even_asleep() -> None:
    assert choose_gpus([SLEEPING_NOUVEAU, UHD], None) == [UHD]


def test_of_gpus_with_one_number_the_likeliest_is_meant() -> None:
    gpus = [NOUVEAU, APU, RADEON, UHD, ARC]

    assert choose_gpus(gpus, 0) == [APU]
    assert choose_gpus(gpus, 1) == [RADEON]
    assert choose_gpus([RTX, APU], 0) == [RTX]
    assert choose_gpus(gpus, 2) == []


def test_a_uid_is_exact() -> None:
    assert choose_gpus([RTX, APU], "amd:0") == [APU]
    assert choose_gpus([RTX, APU], "amd:1") == []


def test_a_number_means_no_instance() -> None:
    parent = a_gpu(0, visible=False)
    instance = an_instance(0, parent)

    assert choose_gpus([parent, instance], 0) == [parent]
    assert choose_gpus([parent, instance], None) == [instance]
    assert choose_gpus([parent, instance], "all") == [parent]


def test_all_of_every_vendor_are_summed_and_what_is_shared_counts_once() -> None:
    apu = of("amd", "AMD Radeon 890M", pool=MemoryPool.GTT)
    gpus = choose_gpus([RTX, apu, UHD, NOUVEAU, a_gpu(1, visible=False)], "all")

    assert gpus == [RTX, apu, UHD, NOUVEAU]
    assert [gigabytes(gpus, figure) for figure in (TOTAL, USED, FREE)] == [48.0, 4.0, 43.0]


def test_what_is_shared_is_as_large_as_the_largest_part_of_it_that_is_told() -> None:
    gpus = [
        a_gpu(0, memory_pool=MemoryPool.GTT, memory_free_bytes=12 * GIB),
        a_gpu(1, memory_pool=MemoryPool.UNIFIED, memory_free_bytes=17 * GIB),
        a_gpu(2, memory_pool=MemoryPool.UNIFIED, memory_free_bytes=None),
    ]

    assert gigabytes(gpus, FREE) == 17.0
