import io
from dataclasses import replace

import pytest
from rich.console import Console

from tests.snapshots import (
    HOST,
    a_gpu,
    a_process,
    a_snapshot,
    an_instance,
    asleep,
    lost,
    without,
)
from vramline.cli.table import render
from vramline.cli.words import vendor_name
from vramline.doctor.makers import MAKERS
from vramline.doctor.makers import vendor_name as doctors_vendor_name
from vramline.readings import (
    Cause,
    FrozenDict,
    GpuState,
    HostReading,
    MemoryBound,
    MemoryPool,
    Snapshot,
)
from vramline.units import GIB, MIB


def page(snapshot: Snapshot, width: int = 80) -> str:
    return "\n" + render(snapshot, Console(file=io.StringIO(), width=width, _environ={}))


A100 = a_gpu(
    0,
    name="NVIDIA A100-SXM4-80GB",
    memory_total_bytes=80 * GIB,
    memory_used_bytes=12 * GIB,
    memory_free_bytes=67 * GIB,
)
NO_ANSWER = {"nvidia": "no answer from GPU-1 within 0.5 s"}
TWO_PROCESSES = (
    a_process(4194402, 256 * MIB, name="Xorg", user="root"),
    a_process(4194401, 3 * GIB // 2, container="3f2a9c0d11ee"),
)


def test_without_a_gpu_the_host_and_the_reasons_are_shown() -> None:
    absent = {
        "nvidia": "no NVIDIA GPU, and no NVIDIA driver",
        "amd": "gpu-tracker reads AMD GPUs with amd-smi, which is not on PATH, and never was",
    }

    assert (
        page(a_snapshot(absent=absent))
        == """
No GPU

Host  8 cores
  ██████████░░░░░░░░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy

NVIDIA absent: no NVIDIA GPU, and no NVIDIA driver
AMD absent: gpu-tracker reads AMD GPUs with amd-smi, which is not on PATH, and
  never was
"""
    )


def test_a_lost_gpu_stands_beside_a_healthy_one() -> None:
    assert (
        page(a_snapshot(a_gpu(0, processes=TWO_PROCESSES), lost(1)))
        == """
GPU 0  NVIDIA GeForce RTX 4090
  █░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free  25 % busy  41 °C  60 / 450 W
    1.5 GiB  python  4194401  alice  in 3f2a9c0d11ee
  256.0 MiB  Xorg    4194402  root
GPU 1  NVIDIA GeForce RTX 4090  lost
  no figures: the GPU fell off the bus, or needs a reset

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_instances_stand_under_the_gpu_they_are_cut_from() -> None:
    parent = without(A100, Cause.NOT_SUPPORTED, "utilization_percent", visible=False)
    first = an_instance(
        0,
        parent,
        memory_total_bytes=40 * GIB,
        memory_used_bytes=10 * GIB,
        memory_free_bytes=30 * GIB,
        processes=(a_process(70, 9 * GIB),),
    )
    second = replace(first, uid="MIG-1", index=1, processes=(), visible=False)
    parent = replace(parent, processes=(a_process(70, 9 * GIB), a_process(71, GIB)))

    assert (
        page(a_snapshot(parent, first, second))
        == """
GPU 0  NVIDIA A100-SXM4-80GB
  ██░░░░░░░░░░  12.0 GiB / 80.0 GiB  67.0 GiB free   - % busy  41 °C  60 / 450 W
  utilisation: not supported by this GPU
  1.0 GiB  python  71  alice
  MIG 0  NVIDIA A100-SXM4-80GB MIG 3g.40gb
    ██░░░░░░░░  10.0 GiB / 40.0 GiB  30.0 GiB free
    9.0 GiB  python  70  alice
  MIG 1  NVIDIA A100-SXM4-80GB MIG 3g.40gb  hidden by CUDA_VISIBLE_DEVICES
    ██░░░░░░░░  10.0 GiB / 40.0 GiB  30.0 GiB free

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_memory_that_is_the_hosts_is_said_to_be() -> None:
    total, available = 1196 * GIB // 10, 1126 * GIB // 10
    gpu = a_gpu(
        0,
        name="NVIDIA GB10",
        memory_pool=MemoryPool.UNIFIED,
        memory_total_bytes=total,
        memory_used_bytes=7 * GIB,
        memory_free_bytes=available,
    )
    host = replace(
        HOST,
        memory_total_bytes=total,
        memory_used_bytes=7 * GIB,
        memory_available_bytes=available,
    )
    gpu = without(gpu, Cause.NOT_SUPPORTED, "power_limit_watts", "temperature_celsius")

    assert (
        page(a_snapshot(gpu, host=host))
        == """
GPU 0  NVIDIA GB10  memory shared with the host
  █░░░░░░░░░░░░░  7.0 GiB / 119.6 GiB  112.6 GiB free  25 % busy  - °C  60 / - W
  temperature, power limit: not supported by this GPU

Host  8 cores
  █░░░░░░░░░░░░░  7.0 GiB / 119.6 GiB  112.6 GiB free  12 % busy
"""
    )


APU = a_gpu(
    0,
    vendor="amd",
    name="AMD Radeon 890M",
    memory_pool=MemoryPool.GTT,
    memory_total_bytes=16 * GIB,
    memory_used_bytes=4 * GIB,
    memory_free_bytes=12 * GIB,
    memory_free_bound_by=MemoryBound.GTT,
    power_limit_watts=None,
)


@pytest.mark.parametrize(
    ("pool", "bound", "remark"),
    [
        (MemoryPool.GTT, MemoryBound.GTT, "memory lent by the host, limited by GTT"),
        (MemoryPool.GTT, MemoryBound.HOST, "memory lent by the host"),
        (
            MemoryPool.UNIFIED,
            MemoryBound.CGROUP,
            "memory shared with the host, limited by a cgroup",
        ),
        (
            MemoryPool.UNIFIED,
            MemoryBound.WIRED_LIMIT,
            "memory shared with the host, limited by macOS",
        ),
        (
            MemoryPool.UNIFIED,
            MemoryBound.SHARED_LIMIT,
            "memory shared with the host, limited by Windows",
        ),
    ],
)
def test_what_bounds_the_hosts_memory_is_told_beside_whose_it_is(
    pool: MemoryPool, bound: MemoryBound, remark: str
) -> None:
    gpu = replace(APU, memory_pool=pool, memory_free_bound_by=bound)

    assert (
        page(a_snapshot(gpu))
        == f"""
GPU 0  AMD Radeon 890M  {remark}
  ████░░░░░░░░░░   4.0 GiB / 16.0 GiB  12.0 GiB free  25 % busy  41 °C  60 / - W

Host  8 cores
  ██████░░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_an_intel_card_that_hides_how_full_it_is_shows_its_size() -> None:
    gpu = a_gpu(0, vendor="intel", name="Intel Arc B580", memory_total_bytes=12 * GIB)
    gpu = without(gpu, Cause.NO_PERMISSION, "memory_used_bytes", "memory_free_bytes")

    assert (
        page(a_snapshot(gpu))
        == """
GPU 0  Intel Arc B580
                       - / 12.0 GiB         - free  25 % busy  41 °C  60 / 450 W
  memory, free memory: this user or container may not ask

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_a_sleeping_gpu_may_have_memory_figures() -> None:
    gpu = without(
        a_gpu(0, vendor="amd", name="AMD Radeon RX 7600M XT"),
        Cause.ASLEEP,
        "utilization_percent",
        "temperature_celsius",
        "power_watts",
        "power_limit_watts",
        "throttle",
        "processes",
        state=GpuState.ASLEEP,
    )

    assert (
        page(a_snapshot(gpu))
        == """
GPU 0  AMD Radeon RX 7600M XT  asleep
  █░░░░░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free   - % busy  - °C  - / - W
  utilisation, temperature, power, power limit, processes: the GPU is asleep,
    and asking would wake it

Host  8 cores
  ███████░░░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


SILENT = without(
    a_gpu(1, name="NVIDIA GeForce GT 710"), Cause.DRIVER_EXPOSES_NOTHING, "compute_capability"
)


def test_a_card_whose_driver_tells_nothing_takes_one_line() -> None:
    silent = without(SILENT, Cause.DRIVER_EXPOSES_NOTHING)
    asleep_too = without(SILENT, Cause.ASLEEP, state=GpuState.ASLEEP)
    warm = replace(silent, vendor="amd", name="AMD Radeon HD 7870", temperature_celsius=47.5)

    assert (
        page(a_snapshot(a_gpu(0), silent, asleep_too, warm))
        == """
GPU 0  NVIDIA GeForce RTX 4090
  █░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free  25 % busy  41 °C  60 / 450 W
GPU 1  NVIDIA GeForce GT 710  its driver tells nothing
GPU 1  NVIDIA GeForce GT 710  asleep, its driver tells nothing
GPU 1  AMD Radeon HD 7870  48 °C, its driver tells nothing else

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_remarks_that_do_not_fit_a_line_take_several() -> None:
    gpu = replace(APU, visible=False)

    assert page(a_snapshot(gpu), 50).splitlines()[1:4] == [
        "GPU 0  AMD Radeon 890M",
        "  memory lent by the host, limited by GTT,",
        "  hidden from ROCm",
    ]


@pytest.mark.parametrize(
    ("vendor", "name", "remark"),
    [
        ("nvidia", "NVIDIA", "hidden by CUDA_VISIBLE_DEVICES"),
        ("amd", "AMD", "hidden from ROCm"),
        ("intel", "Intel", "hidden"),
        ("apple", "Apple", "hidden"),
        ("qualcomm", "Qualcomm", "hidden"),
        ("pci:1ed5", "PCI vendor 1ed5", "hidden"),
        ("a\x1b[2Jb", "a?[2Jb", "hidden"),
    ],
)
def test_a_gpu_without_a_name_has_its_makers(vendor: str, name: str, remark: str) -> None:
    gpu = a_gpu(0, vendor=vendor, name=None, visible=False)

    title = page(a_snapshot(gpu)).splitlines()[1]

    assert title == f"GPU 0  {name} GPU 0000:01:00.0  {remark}"


def test_every_vendor_is_told_why_nothing_of_it_is_here() -> None:
    absent = {"nvidia": "no driver", "amd": "no card", "windows": "none is listed"}
    snapshot = a_snapshot(absent=absent, failures={"intel": "the driver is gone"})

    assert page(snapshot).splitlines()[6:] == [
        "NVIDIA absent: no driver",
        "AMD absent: no card",
        "Display adapters absent: none is listed",
        "Intel failed: the driver is gone",
        "`vramline doctor` looks for the cause",
    ]


def test_vendors_have_the_names_that_the_doctor_has_for_them() -> None:
    vendors = [*(maker.vendor for maker in MAKERS), "apple", "qualcomm", "pci:1ed5", "mali"]

    assert [*map(vendor_name, vendors)] == [*map(doctors_vendor_name, vendors)]


def test_a_sleeping_gpu_has_no_figures() -> None:
    assert (
        page(a_snapshot(asleep(0)))
        == """
GPU 0  NVIDIA GeForce RTX 4090  asleep
  no figures: the GPU is asleep, and asking would wake it

Host  8 cores
  ███████░░░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_a_gpu_that_hangs_shows_its_last_figures_and_their_age() -> None:
    hot = a_gpu(
        1,
        name="NVIDIA RTX 6000 Ada Generation",
        memory_used_bytes=23 * GIB,
        memory_free_bytes=GIB,
        utilization_percent=100.0,
        temperature_celsius=88.0,
        power_watts=449.0,
        throttle=("power_cap", "software_thermal"),
        age_seconds=3.2,
    )

    assert (
        page(a_snapshot(a_gpu(0), hot, failures=NO_ANSWER))
        == """
GPU 0  NVIDIA GeForce RTX 4090
  █░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free   25 % busy  41 °C   60 / 450 W
GPU 1  NVIDIA RTX 6000 Ada Generation  3 s old
  ██████████  23.0 GiB / 24.0 GiB   1.0 GiB free  100 % busy  88 °C  449 / 450 W
  throttled: power cap, software thermal

Host  8 cores
  ████░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free   12 % busy

NVIDIA failed: no answer from GPU-1 within 0.5 s
`vramline doctor` looks for the cause
"""
    )


def test_sixteen_gpus_take_two_lines_each_and_their_largest_processes() -> None:
    gpus = [
        a_gpu(
            index,
            name="NVIDIA H100 80GB HBM3",
            memory_total_bytes=80 * GIB,
            memory_used_bytes=5 * index * GIB,
            memory_free_bytes=(80 - 5 * index) * GIB,
            processes=tuple(a_process(pid, pid * GIB) for pid in range(1, index // 4 + 1)),
        )
        for index in range(16)
    ]

    assert (
        page(a_snapshot(*gpus))
        == """
GPU  0  NVIDIA H100 80GB HBM3
  ░░░░░░░░░░░░       0 B / 80.0 GiB  80.0 GiB free  25 % busy  41 °C  60 / 450 W
GPU  1  NVIDIA H100 80GB HBM3
  █░░░░░░░░░░░   5.0 GiB / 80.0 GiB  75.0 GiB free  25 % busy  41 °C  60 / 450 W
GPU  2  NVIDIA H100 80GB HBM3
  ██░░░░░░░░░░  10.0 GiB / 80.0 GiB  70.0 GiB free  25 % busy  41 °C  60 / 450 W
GPU  3  NVIDIA H100 80GB HBM3
  ██░░░░░░░░░░  15.0 GiB / 80.0 GiB  65.0 GiB free  25 % busy  41 °C  60 / 450 W
GPU  4  NVIDIA H100 80GB HBM3
  ███░░░░░░░░░  20.0 GiB / 80.0 GiB  60.0 GiB free  25 % busy  41 °C  60 / 450 W
  1.0 GiB  python  1  alice
GPU  5  NVIDIA H100 80GB HBM3
  ████░░░░░░░░  25.0 GiB / 80.0 GiB  55.0 GiB free  25 % busy  41 °C  60 / 450 W
  1.0 GiB  python  1  alice
GPU  6  NVIDIA H100 80GB HBM3
  ████░░░░░░░░  30.0 GiB / 80.0 GiB  50.0 GiB free  25 % busy  41 °C  60 / 450 W
  1.0 GiB  python  1  alice
GPU  7  NVIDIA H100 80GB HBM3
  █████░░░░░░░  35.0 GiB / 80.0 GiB  45.0 GiB free  25 % busy  41 °C  60 / 450 W
  1.0 GiB  python  1  alice
GPU  8  NVIDIA H100 80GB HBM3
  ██████░░░░░░  40.0 GiB / 80.0 GiB  40.0 GiB free  25 % busy  41 °C  60 / 450 W
  2.0 GiB  python  2  alice
  1.0 GiB  python  1  alice
GPU  9  NVIDIA H100 80GB HBM3
  ███████░░░░░  45.0 GiB / 80.0 GiB  35.0 GiB free  25 % busy  41 °C  60 / 450 W
  2.0 GiB  python  2  alice
  1.0 GiB  python  1  alice
GPU 10  NVIDIA H100 80GB HBM3
  ████████░░░░  50.0 GiB / 80.0 GiB  30.0 GiB free  25 % busy  41 °C  60 / 450 W
  2.0 GiB  python  2  alice
  1.0 GiB  python  1  alice
GPU 11  NVIDIA H100 80GB HBM3
  ████████░░░░  55.0 GiB / 80.0 GiB  25.0 GiB free  25 % busy  41 °C  60 / 450 W
  2.0 GiB  python  2  alice
  1.0 GiB  python  1  alice
GPU 12  NVIDIA H100 80GB HBM3
  █████████░░░  60.0 GiB / 80.0 GiB  20.0 GiB free  25 % busy  41 °C  60 / 450 W
  3.0 GiB  python  3  alice
  2.0 GiB  python  2  alice
  and 1 more
GPU 13  NVIDIA H100 80GB HBM3
  ██████████░░  65.0 GiB / 80.0 GiB  15.0 GiB free  25 % busy  41 °C  60 / 450 W
  3.0 GiB  python  3  alice
  2.0 GiB  python  2  alice
  and 1 more
GPU 14  NVIDIA H100 80GB HBM3
  ██████████░░  70.0 GiB / 80.0 GiB  10.0 GiB free  25 % busy  41 °C  60 / 450 W
  3.0 GiB  python  3  alice
  2.0 GiB  python  2  alice
  and 1 more
GPU 15  NVIDIA H100 80GB HBM3
  ███████████░  75.0 GiB / 80.0 GiB   5.0 GiB free  25 % busy  41 °C  60 / 450 W
  3.0 GiB  python  3  alice
  2.0 GiB  python  2  alice
  and 1 more

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_a_narrow_page_takes_two_lines_for_the_figures() -> None:
    instance = an_instance(0, A100)

    assert (
        page(a_snapshot(A100, instance, asleep(1, visible=False)), width=60)
        == """
GPU 0  NVIDIA A100-SXM4-80GB
  ███░░░░░░░░░░░░░░░░░░░  12.0 GiB / 80.0 GiB  67.0 GiB free
  25 % busy  41 °C  60 / 450 W
  MIG 0  NVIDIA A100-SXM4-80GB MIG 3g.40gb
    ██░░░░░░░░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free
GPU 1  NVIDIA GeForce RTX 4090
  asleep, hidden by CUDA_VISIBLE_DEVICES
  no figures: the GPU is asleep, and asking would wake it

Host  8 cores
  ██████████░░░░░░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free
  12 % busy
"""
    )


def test_a_wide_page_has_longer_bars() -> None:
    assert (
        page(a_snapshot(a_gpu(0)), width=200)
        == """
GPU 0  NVIDIA GeForce RTX 4090
  ██░░░░░░░░░░░░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free  25 % busy  41 °C  60 / 450 W

Host  8 cores
  ██████████░░░░░░░░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_of_many_processes_the_largest_are_shown() -> None:
    processes = [a_process(pid, pid * GIB) for pid in range(1, 12)]
    gpu = a_gpu(0, processes=(*processes, a_process(99, None, name=None, user=None)))

    assert (
        page(a_snapshot(gpu))
        == """
GPU 0  NVIDIA GeForce RTX 4090
  █░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free  25 % busy  41 °C  60 / 450 W
  11.0 GiB  python  11  alice
  10.0 GiB  python  10  alice
   9.0 GiB  python  9   alice
   8.0 GiB  python  8   alice
   7.0 GiB  python  7   alice
  and 7 more

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_a_long_name_of_a_process_is_cut_off() -> None:
    process = a_process(
        7, GIB, name="/opt/a/very/long/path/to/python3.11", container="3f2a9c0d11ee"
    )

    assert (
        page(a_snapshot(a_gpu(0, processes=(process,))))
        == """
GPU 0  NVIDIA GeForce RTX 4090
  █░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free  25 % busy  41 °C  60 / 450 W
  1.0 GiB  /opt/a/very/long/path...  7  alice  in 3f2a9c0d11ee

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_a_name_cannot_move_the_cursor() -> None:
    process = a_process(7, GIB, name="a\x1b[2Jb\nc", user="x\ry")
    gpu = a_gpu(0, name="G\x1b[31mPU", processes=(process,))

    assert (
        page(a_snapshot(gpu, failures={"nvidia": "a\x07b"}))
        == """
GPU 0  G?[31mPU
  █░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free  25 % busy  41 °C  60 / 450 W
  1.0 GiB  a?[2Jb?c  7  x?y

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy

NVIDIA failed: a?b
`vramline doctor` looks for the cause
"""
    )


def test_each_cause_is_told_once_for_all_its_values() -> None:
    gpu = without(a_gpu(0), Cause.NO_PERMISSION, "memory_total_bytes", "memory_used_bytes")
    gpu = without(gpu, Cause.NO_PERMISSION, "power_watts", "processes")
    gpu = without(gpu, Cause.GARBLED, "utilization_percent")

    assert (
        page(a_snapshot(gpu))
        == """
GPU 0  NVIDIA GeForce RTX 4090
                               - / -  21.5 GiB free   - % busy  41 °C  - / 450 W
  memory, power, processes: this user or container may not ask
  utilisation: the answer makes no sense

Host  8 cores
  ██████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_a_gpu_without_a_name_is_told_by_its_address() -> None:
    gpu = without(lost(0), Cause.LOST, "name", index=None)

    assert (
        page(a_snapshot(gpu))
        == """
GPU -  NVIDIA GPU 0000:01:00.0  lost
  no figures: the GPU fell off the bus, or needs a reset

Host  8 cores
  ███████░░░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


def test_the_limit_of_a_container_is_shown_with_its_cgroup() -> None:
    limited = replace(
        HOST,
        cores=1.5,
        memory_limit_bytes=4 * GIB,
        limit_source="/sys/fs/cgroup/system.slice/docker-3f2a9c0d11ee3f2a9c0d11ee3f2a9c0d11ee.scope",
        memory_available_bytes=3 * GIB,
        swap_total_bytes=8 * GIB,
        swap_used_bytes=GIB,
    )

    assert (
        page(a_snapshot(host=limited))
        == """
No GPU

Host  1.5 cores
  ██████████░░░░░░░░░░░░░░  14.0 GiB / 32.0 GiB  3.0 GiB free  12 % busy
  limited to 4.0 GiB by
    /sys/fs/cgroup/system.slice/docker-3f2a9c0d11ee3f2a9c0d11ee3f2a9c0d11ee.scope
  swap: 1.0 GiB / 8.0 GiB
"""
    )


def test_a_host_that_cannot_be_read_says_why() -> None:
    names = ("memory_total_bytes", "memory_used_bytes", "memory_available_bytes", "cpu_percent")
    host = HostReading(unknown=FrozenDict(dict.fromkeys(names, Cause.NO_PERMISSION)))

    assert (
        page(a_snapshot(host=host))
        == """
No GPU

Host
  no figures: this user or container may not ask
"""
    )


def test_remarks_that_do_not_fit_beside_the_name_stand_below_it() -> None:
    gpu = a_gpu(
        0,
        name="NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        age_seconds=0.4,
        visible=False,
    )

    assert (
        page(a_snapshot(gpu))
        == """
GPU 0  NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition
  0.4 s old, hidden by CUDA_VISIBLE_DEVICES
  █░░░░░░░░░░░   2.0 GiB / 24.0 GiB  21.5 GiB free  25 % busy  41 °C  60 / 450 W

Host  8 cores
  █████░░░░░░░  14.0 GiB / 32.0 GiB  17.0 GiB free  12 % busy
"""
    )


@pytest.mark.parametrize("width", [1, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_page(width: int) -> None:
    snapshot = a_snapshot(
        a_gpu(0, processes=TWO_PROCESSES, throttle=("power_cap", "hardware_slowdown")),
        lost(1),
        without(a_gpu(2, visible=False), Cause.NOT_SUPPORTED, "temperature_celsius"),
        replace(APU, visible=False),
        SILENT,
        failures=NO_ANSWER,
        absent={"amd": "gpu-tracker reads AMD GPUs with amd-smi, which is not on PATH"},
    )

    # Figures are not cut: below 55 characters the terminal breaks their lines.
    assert max(map(len, page(snapshot, width).splitlines())) <= max(width, 55)


def test_a_terminal_gets_colours_and_the_same_words() -> None:
    snapshot = a_snapshot(a_gpu(0, throttle=("power_cap",)), lost(1), failures=NO_ANSWER)
    console = Console(
        file=io.StringIO(), width=80, force_terminal=True, color_system="standard", _environ={}
    )

    coloured = render(snapshot, console)

    assert "\x1b[31mlost\x1b[0m" in coloured
    assert "\x1b[33m  throttled: power cap\x1b[0m" in coloured
    assert "".join(part.partition("m")[2] for part in f"m{coloured}".split("\x1b[")) == page(
        snapshot
    ).removeprefix("\n")
