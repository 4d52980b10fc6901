import inspect

import pytest

import vramline
from vramline.models.resource_monitor import ResourceMonitor

PROMISED = {
    "Amount",
    "Backend",
    "Cause",
    "Deadlines",
    "Device",
    "FlashAttention",
    "GpuProcess",
    "GpuReading",
    "GpuState",
    "HostReading",
    "Item",
    "LiveMachine",
    "Machine",
    "MemoryBound",
    "MemoryNeed",
    "MemoryPool",
    "Model",
    "ModelFormatError",
    "Part",
    "Plan",
    "ProcessKind",
    "ReadError",
    "ReaderUnavailableError",
    "RecordedMachine",
    "RecordingError",
    "Runner",
    "Sampler",
    "Settings",
    "Snapshot",
    "TensorType",
    "VramlineError",
    "Wish",
    "candidate_of",
    "estimate",
    "lay_out",
    "plan",
    "read_model",
    "settings_of",
    "snapshot",
}


def test_the_promised_names_are_the_public_ones() -> None:
    assert set(vramline.__all__) == PROMISED
    assert set(dir(vramline)) > PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_every_public_name_can_be_had_and_is_explained(name: str) -> None:
    assert inspect.getdoc(getattr(vramline, name))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'spanshot'"):
        vramline.spanshot  # noqa: B018


def test_the_host_applications_members_are_all_there() -> None:
    members = {
        "get_current_resources",
        "_get_gpu_memory",
        "update_history",
        "get_resource_trend",
        "is_system_overloaded",
        "can_load_model",
        "get_best_model",
        "get_best_model_size",
        "close",
    }

    assert all(inspect.getdoc(getattr(ResourceMonitor, name)) for name in members)
    assert str(inspect.signature(ResourceMonitor)).startswith(
        "(memory_threshold: float = 80.0, cpu_threshold: float = 80.0, *, "
    )
