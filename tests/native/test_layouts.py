"""The layouts of Microsoft's structures, on a 64-bit Windows.

Sizes and offsets are worked out from the public headers, where D3DKMT_ALIGN64 puts each
64-bit number on a multiple of 8. The graphics kernel refuses a query of another size: it takes
56 bytes for D3DKMT_NODE_PERFDATA, 64 for D3DKMT_ADAPTER_PERFDATA and 40 for
D3DKMT_ADAPTER_PERFDATACAPS.
"""

import ctypes

import pytest

from vramline.native import com, d3dkmt, dxcore, dxgi, pdh

pytestmark = pytest.mark.skipif(
    ctypes.sizeof(ctypes.c_void_p) != 8, reason="these are the sizes of a 64-bit process"
)


def layout(structure: type[ctypes.Structure]) -> dict[str, int]:
    offsets = {each[0]: getattr(structure, each[0]).offset for each in structure._fields_}
    return {**offsets, "size": ctypes.sizeof(structure)}


def test_a_guid_is_laid_out_as_windows_reads_it() -> None:
    made = com.guid("770aae78-f26f-4dba-a829-253c83d1b387")

    assert (made.data1, made.data2, made.data3) == (0x770AAE78, 0xF26F, 0x4DBA)
    assert bytes(made.data4).hex() == "a829253c83d1b387"
    assert ctypes.sizeof(com.Guid) == 16


def test_dxgi_adapter_desc1() -> None:
    assert layout(dxgi.AdapterDescription) == {
        "description": 0,
        "vendor_id": 256,
        "device_id": 260,
        "subsystem_id": 264,
        "revision": 268,
        "dedicated_video_memory": 272,
        "dedicated_system_memory": 280,
        "shared_system_memory": 288,
        "luid": 296,
        "flags": 304,
        "size": 312,
    }


def test_pdh_fmt_countervalue_item() -> None:
    assert layout(pdh.Item) == {"name": 0, "value": 8, "size": 24}
    assert layout(pdh.Item._Value) == {"status": 0, "value": 8, "size": 16}


def test_what_opens_asks_and_closes_an_adapter() -> None:
    assert layout(com.Luid) == {"low": 0, "high": 4, "size": 8}
    assert layout(d3dkmt.OpenAdapter) == {"luid": 0, "adapter": 8, "size": 12}
    assert layout(d3dkmt.CloseAdapter) == {"adapter": 0, "size": 4}
    assert layout(d3dkmt.Query) == {"adapter": 0, "type": 4, "data": 8, "size": 24}
    assert d3dkmt.Query.size.offset == 16


def test_what_is_asked_of_an_adapter() -> None:
    assert layout(d3dkmt.Address) == {"bus": 0, "device": 4, "function": 8, "size": 12}
    assert layout(d3dkmt.Kind) == {"bits": 0, "size": 4}
    assert layout(d3dkmt.DriverVersion) == {"version": 0, "size": 8}
    assert layout(d3dkmt.Limits) == {
        "physical_adapter": 0,
        "max_memory_bandwidth": 8,
        "max_pcie_bandwidth": 16,
        "max_fan_rpm": 24,
        "temperature_max": 28,
        "temperature_warning": 32,
        "size": 40,
    }
    assert layout(d3dkmt.Performance) == {
        "physical_adapter": 0,
        "memory_frequency": 8,
        "max_memory_frequency": 16,
        "max_memory_frequency_overclocked": 24,
        "memory_bandwidth": 32,
        "pcie_bandwidth": 40,
        "fan_rpm": 48,
        "power": 52,
        "temperature": 56,
        "power_state_override": 60,
        "size": 64,
    }
    assert layout(d3dkmt.EnginePerformance) == {
        "node": 0,
        "physical_adapter": 4,
        "frequency": 8,
        "max_frequency": 16,
        "max_frequency_overclocked": 24,
        "voltage": 32,
        "voltage_max": 36,
        "voltage_max_overclocked": 40,
        "max_transition_latency": 48,
        "size": 56,
    }


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [
        (0, 0, 0),
        (0xA18D, 0xA18D, 0),
        (0x1_FFFF_FFFF, 0xFFFFFFFF, 1),
        (0xFFFF_FFFF_0000_0001, 1, -1),
        (0x8000_0000_8000_0000, 0x80000000, -(2**31)),
    ],
)
def test_a_luid_is_one_number_without_a_sign(number: int, low: int, high: int) -> None:
    luid = com.to_luid(number)

    assert (luid.low, luid.high) == (low, high)
    assert com.from_luid(luid) == number


UNKNOWN = ("QueryInterface", "AddRef", "Release")
DXGI_OBJECT = (*UNKNOWN, "SetPrivateData", "SetPrivateDataInterface", "GetPrivateData", "GetParent")
DXGI_FACTORY_1 = (
    *DXGI_OBJECT,
    "EnumAdapters",
    "MakeWindowAssociation",
    "GetWindowAssociation",
    "CreateSwapChain",
    "CreateSoftwareAdapter",
    "EnumAdapters1",
    "IsCurrent",
)
DXGI_ADAPTER_1 = (*DXGI_OBJECT, "EnumOutputs", "GetDesc", "CheckInterfaceSupport", "GetDesc1")
DXCORE_FACTORY = (*UNKNOWN, "CreateAdapterList", "GetAdapterByLuid")
DXCORE_ADAPTER = (*UNKNOWN, "IsValid", "IsAttributeSupported", "IsPropertySupported", "GetProperty")


def test_methods_are_where_the_headers_have_them() -> None:
    """The order of dxgi.h and of dxcore_interface.h, which is that of the tables of methods."""
    assert UNKNOWN.index("Release") == com.RELEASE
    assert DXGI_FACTORY_1.index("EnumAdapters1") == dxgi.ENUM_ADAPTERS_1
    assert DXGI_ADAPTER_1.index("GetDesc1") == dxgi.GET_DESC_1
    assert DXCORE_FACTORY.index("GetAdapterByLuid") == dxcore.GET_ADAPTER_BY_LUID
    assert DXCORE_ADAPTER.index("IsPropertySupported") == dxcore.IS_PROPERTY_SUPPORTED
    assert DXCORE_ADAPTER.index("GetProperty") == dxcore.GET_PROPERTY
