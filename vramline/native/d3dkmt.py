"""What the graphics kernel knows of an adapter, by gdi32.dll. No rights are needed.

https://learn.microsoft.com/windows-hardware/drivers/ddi/d3dkmthk/nf-d3dkmthk-d3dkmtqueryadapterinfo

A query whose size is not exactly the structure's is refused. ``vramline.native``'s tests
hold each to the size of the public header:
https://github.com/MicrosoftDocs/windows-driver-docs-ddi/tree/staging/wdk-ddi-src/content/d3dkmthk
"""

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from vramline.native.com import (
    POINTER,
    UINT,
    ULONG,
    ULONGLONG,
    Luid,
    failed,
    place,
    to_luid,
    unsigned,
)


class OpenAdapter(ctypes.Structure):
    """D3DKMT_OPENADAPTERFROMLUID."""

    _fields_ = (("luid", Luid), ("adapter", UINT))


class CloseAdapter(ctypes.Structure):
    """D3DKMT_CLOSEADAPTER."""

    _fields_ = (("adapter", UINT),)


class Query(ctypes.Structure):
    """D3DKMT_QUERYADAPTERINFO."""

    _fields_ = (("adapter", UINT), ("type", UINT), ("data", POINTER), ("size", UINT))


class Address(ctypes.Structure):
    """D3DKMT_ADAPTERADDRESS. The bus is ``0xFFFFFFFF`` where there is none."""

    _fields_ = (("bus", UINT), ("device", UINT), ("function", UINT))


class Kind(ctypes.Structure):
    """D3DKMT_ADAPTERTYPE, its bits as one number."""

    _fields_ = (("bits", UINT),)


class DriverVersion(ctypes.Structure):
    """D3DKMT_UMD_DRIVER_VERSION: four numbers of 16 bits, the first one uppermost."""

    _fields_ = (("version", ULONGLONG),)


class Limits(ctypes.Structure):
    """D3DKMT_ADAPTER_PERFDATACAPS. Zero is what the adapter has no sensor for."""

    _fields_ = (
        ("physical_adapter", UINT),
        ("max_memory_bandwidth", ULONGLONG),
        ("max_pcie_bandwidth", ULONGLONG),
        ("max_fan_rpm", ULONG),
        ("temperature_max", ULONG),
        ("temperature_warning", ULONG),
    )


class Performance(ctypes.Structure):
    """D3DKMT_ADAPTER_PERFDATA.

    Frequencies in Hz, the temperature in tenths of a degree, the power in
    tenths of a percent of what the adapter may draw.
    """

    _fields_ = (
        ("physical_adapter", UINT),
        ("memory_frequency", ULONGLONG),
        ("max_memory_frequency", ULONGLONG),
        ("max_memory_frequency_overclocked", ULONGLONG),
        ("memory_bandwidth", ULONGLONG),
        ("pcie_bandwidth", ULONGLONG),
        ("fan_rpm", ULONG),
        ("power", ULONG),
        ("temperature", ULONG),
        ("power_state_override", ctypes.c_uint8),
    )


class EnginePerformance(ctypes.Structure):
    """D3DKMT_NODE_PERFDATA.

    Node 0 is the 3D engine; its frequency was seen to be the clock that nvidia-smi tells
    (https://github.com/Cioscos/OpenMonitorAdvanced).
    """

    _fields_ = (
        ("node", UINT),
        ("physical_adapter", UINT),
        ("frequency", ULONGLONG),
        ("max_frequency", ULONGLONG),
        ("max_frequency_overclocked", ULONGLONG),
        ("voltage", ULONG),
        ("voltage_max", ULONG),
        ("voltage_max_overclocked", ULONG),
        ("max_transition_latency", ULONGLONG),
    )


Queries = Mapping[str, tuple[int, type[ctypes.Structure]]]
"""By name: a KMTQUERYADAPTERINFOTYPE, and what it fills in.

https://learn.microsoft.com/windows-hardware/drivers/ddi/d3dkmthk/ne-d3dkmthk-_kmtqueryadapterinfotype
"""

LASTING: Queries = {
    "address": (6, Address),
    "kind": (15, Kind),
    "driver_version": (18, DriverVersion),
}
"""What the graphics kernel keeps in its own books."""
PRESENT: Queries = {
    "engine": (61, EnginePerformance),
    "performance": (62, Performance),
    "limits": (63, Limits),
}
"""What it has to ask the GPU's driver for, which may wake the GPU."""


def ask(gdi32: Any, luid: int, queries: Queries) -> dict[str, Any]:
    """Return ``{"status": ...}``, and under each query's name its fields, or ``None``.

    The status is that of opening the adapter.

    Args:
        gdi32: The library.
    """
    answers: dict[str, Any] = dict.fromkeys(queries)
    opening = OpenAdapter(to_luid(luid))
    status = unsigned(gdi32.D3DKMTOpenAdapterFromLuid(place(opening)))
    if not failed(status):
        with _closing(gdi32, opening.adapter) as adapter:
            for name, (number, kind) in queries.items():
                answers[name] = _query(gdi32, adapter, number, kind())
    return {"status": status, **answers}


@contextmanager
def _closing(gdi32: Any, adapter: int) -> Iterator[int]:
    try:
        yield adapter
    finally:
        closing = CloseAdapter(adapter)
        gdi32.D3DKMTCloseAdapter(place(closing))


def _query(
    gdi32: Any, adapter: int, number: int, answer: ctypes.Structure
) -> dict[str, int] | None:
    query = Query(adapter, number, place(answer), ctypes.sizeof(answer))
    if failed(gdi32.D3DKMTQueryAdapterInfo(place(query))):
        return None
    return {field[0]: int(getattr(answer, field[0])) for field in type(answer)._fields_}
