"""The AMD machines of the tests: recorded ones, and some written by hand."""

import base64
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.machines import entries_of
from tests.readers.clients.machines import KTHREADD
from tests.readers.nvidia.machines import HOST
from vramline.machine import RecordedMachine
from vramline.readers.amd import open_reader
from vramline.readings import Cause, FrozenDict, GpuReading
from vramline.units import GIB, MIB

DATA = Path(__file__).resolve().parents[2] / "data" / "amd"
METRICS_1_3 = (DATA / "gpu_metrics_1_3.bin").read_bytes()
METRICS_INVALID = (DATA / "gpu_metrics_invalid.bin").read_bytes()

Entries = dict[str, Any]

NAMES: Entries = {
    "/usr/share/misc/pci.ids": (DATA / "pci.ids").read_text(encoding="utf-8"),
    "/usr/share/libdrm/amdgpu.ids": (
        "# List of AMDGPU IDs\n1.0.0\n"
        "6617,\t87,\tAMD Radeon R7 200 Series\n"
        "744C,\tC8,\tAMD Radeon RX 7900 XTX\n"
    ),
}

CARD = "/sys/class/drm/card0/device"
HWMON = f"{CARD}/hwmon/hwmon3"
KFD = "/sys/class/kfd/kfd"


class Clock:
    """A machine's time, which stands still unless it is moved on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched(RecordedMachine):
    """Notes every path that is opened, listed or followed, and can change under a reader."""

    def __init__(self, files: Entries, **given: Any) -> None:
        super().__init__({}, **given)
        self.files = files
        self.opened: list[str] = []

    def change(self, changes: Mapping[str, Any]) -> None:
        """Put other files in the place of these; ``None`` takes one away."""
        files = {**self.files, **changes}
        self.files = {path: entry for path, entry in files.items() if entry is not None}

    def read(self, path: str) -> str:
        return self._now(path).read(path)

    def read_bytes(self, path: str) -> bytes:
        return self._now(path).read_bytes(path)

    def list(self, path: str) -> list[str]:
        return self._now(path).list(path)

    def readlink(self, path: str) -> str:
        return self._now(path).readlink(path)

    def _now(self, path: str) -> RecordedMachine:
        self.opened.append(path)
        return self._as(self.files)

    def _as(self, files: Entries) -> RecordedMachine:
        if self._made is None or self._made[0] is not files:
            self._made = (files, RecordedMachine(files))
        return self._made[1]

    _made: tuple[Entries, RecordedMachine] | None = None


def machine(entries: Entries, **given: Any) -> Watched:
    """Return the machine with the files, a host round them, and the lists of names.

    Its processes can all be seen.
    """
    return Watched({**HOST, **KTHREADD, **NAMES, **entries}, **given)


def recorded(name: str, **given: Any) -> Watched:
    return machine(entries_of(f"amd/{name}"), **given)


def read(one: RecordedMachine) -> tuple[GpuReading, ...]:
    """Open the machine's cards and read each of them once."""
    reader = open_reader(one)
    readings = [gpu for device in reader.devices() for gpu in reader.read(device)]
    arranged = reader.arrange(readings)
    reader.close()
    return arranged


def looks(one: Watched, clock: Clock, *, seconds: float = 1.0) -> Callable[[], GpuReading]:
    """Open the machine's only card; each call takes a look at it, and then time passes."""
    reader = open_reader(one)

    def look() -> GpuReading:
        (gpu,) = reader.read(reader.devices()[0])
        clock.now += seconds
        return gpu

    return look


def unknown(**causes: tuple[str, ...]) -> FrozenDict[str, Cause]:
    return FrozenDict({name: Cause(cause) for cause, names in causes.items() for name in names})


def binary(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


def on_bus(
    device_id: str, address: str, *, driver: str = "amdgpu", folder: str = CARD, revision: str = ""
) -> Entries:
    """Return what the system itself tells of a card."""
    return {
        f"{folder}/uevent": (
            f"DRIVER={driver}\nPCI_CLASS=30000\nPCI_ID=1002:{device_id}\nPCI_SLOT_NAME={address}\n"
        ),
        f"{folder}/power/runtime_status": "active\n",
        f"{folder}/power/control": "auto\n",
        **({f"{folder}/revision": f"0x{revision}\n"} if revision else {}),
    }


def memory(total: int, used: int, gtt_total: int, gtt_used: int, folder: str = CARD) -> Entries:
    return {
        f"{folder}/mem_info_vram_total": f"{total}\n",
        f"{folder}/mem_info_vram_used": f"{used}\n",
        f"{folder}/mem_info_gtt_total": f"{gtt_total}\n",
        f"{folder}/mem_info_gtt_used": f"{gtt_used}\n",
        # Only what the processor can reach of it: never the card's memory.
        f"{folder}/mem_info_vis_vram_total": f"{256 * MIB}\n",
        f"{folder}/mem_info_vis_vram_used": f"{100 * MIB}\n",
    }


def desktop_card() -> Entries:
    """Return a 7900 XTX that tells everything, in use by a server of models."""
    return {
        **on_bus("744C", "0000:2d:00.0", revision="c8"),
        **memory(24 * GIB, 6 * GIB, 32 * GIB, GIB),
        f"{CARD}/unique_id": "4b2c1a9f8d3e6f7a\n",
        f"{CARD}/product_name": "\n",
        f"{CARD}/gpu_busy_percent": "64\n",
        f"{CARD}/mem_busy_percent": "6\n",
        f"{CARD}/gpu_metrics": binary(METRICS_1_3.ljust(4096, b"\0")),
        f"{CARD}/pp_dpm_sclk": "0: 500Mhz \n1: 2165Mhz *\n2: 2219Mhz \n",
        f"{CARD}/pp_dpm_mclk": "0: 96Mhz \n1: 1249Mhz *\n",
        f"{HWMON}/name": "amdgpu\n",
        f"{HWMON}/temp1_label": "edge\n",
        f"{HWMON}/temp1_input": "53000\n",
        f"{HWMON}/temp2_label": "junction\n",
        f"{HWMON}/temp2_input": "75000\n",
        f"{HWMON}/temp3_label": "mem\n",
        f"{HWMON}/temp3_input": "80000\n",
        f"{HWMON}/power1_average": "240500000\n",
        f"{HWMON}/power1_cap": "303000000\n",
        f"{HWMON}/freq1_label": "sclk\n",
        f"{HWMON}/freq1_input": "2165000000\n",
        f"{HWMON}/freq2_label": "mclk\n",
        f"{HWMON}/freq2_input": "1249000000\n",
        f"{HWMON}/fan1_input": "1600\n",
        f"{HWMON}/fan1_max": "3200\n",
        f"{HWMON}/pwm1": "102\n",
        f"{HWMON}/pwm1_max": "255\n",
        **kfd_node(1, 0x2D00, 110000, width=384, clock=1249, gpu_id=51111),
        **kfd_node(0, 0, 0, width=128, clock=3200, gpu_id=0),
        f"{KFD}/proc/4242/vram_51111": f"{5 * GIB}\n",
        "/proc/self/ns/pid": {"symlink": "pid:[4026531836]"},  # that of the kernel itself
        "/proc/4242/stat": f"4242 (llama-server) S {'1 ' * 18}500 0\n",
    }


def kfd_node(
    number: int, location: int, version: int, *, width: int, clock: int, gpu_id: int
) -> Entries:
    folder = f"{KFD}/topology/nodes/{number}"
    return {
        f"{folder}/gpu_id": f"{gpu_id}\n",
        f"{folder}/properties": (
            f"cpu_cores_count 0\nsimd_count 192\ngfx_target_version {version}\n"
            f"vendor_id 4098\nlocation_id {location}\ndomain 0\nlocal_mem_size 0\n"
        ),
        f"{folder}/mem_banks/0/properties": (
            f"heap_type 1\nsize_in_bytes 25753026560\nflags 0\nwidth {width}\nmem_clk_max {clock}\n"
        ),
    }


def apu(vram: int, gtt: int, *, vram_used: int = 64 * MIB, gtt_used: int = 0) -> Entries:
    """Return an APU whose own memory is *vram*, and that may map *gtt* of the host's."""
    return {
        **on_bus("1586", "0000:c1:00.0"),
        f"{CARD}/power/control": "on\n",
        **memory(vram, vram_used, gtt, gtt_used),
        f"{CARD}/gpu_busy_percent": "0\n",
        f"{HWMON}/name": "amdgpu\n",
        f"{HWMON}/in1_label": "vddnb\n",
        f"{HWMON}/temp1_label": "edge\n",
        f"{HWMON}/temp1_input": "38000\n",
    }


def metrics(size: int, revision: tuple[int, int], values: Mapping[int, tuple[str, int]]) -> bytes:
    """Return a ``gpu_metrics`` in which the chip tells only *values*, by their places."""
    content = bytearray(b"\xff" * size)
    struct.pack_into("<HBB", content, 0, size, *revision)
    for place, (code, value) in values.items():
        struct.pack_into(f"<{code}", content, place, value)
    return bytes(content)
