import pytest

from tests.readers.amd.machines import (
    Entries,
    desktop_card,
    kfd_node,
    machine,
    memory,
    on_bus,
    read,
)
from vramline.readers.amd.visible import shown_uids
from vramline.units import GIB

A, B, C = "GPU-00000000000000aa", "GPU-4b2c1a9f8d3e6f7a", "0000:c1:00.0"
ALL = (A, B, C)


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        pytest.param({}, None, id="nothing chosen"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "1"}, {B}, id="a number"),
        pytest.param({"ROCR_VISIBLE_DEVICES": " 1 , 0"}, {A, B}, id="with blanks"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "0x2"}, {C}, id="as C reads numbers"),
        pytest.param({"ROCR_VISIBLE_DEVICES": A}, {A}, id="a uuid"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "gpu-4b2c"}, {B}, id="how a uuid begins"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "GPU-"}, set(), id="too little of a uuid"),
        pytest.param({"ROCR_VISIBLE_DEVICES": ""}, set(), id="empty is none"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "0,7,1"}, {A}, id="the first wrong one ends it"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "1,1,0"}, {B}, id="so does one named twice"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "-1"}, set(), id="below none"),
        pytest.param({"ROCR_VISIBLE_DEVICES": "1x"}, set(), id="no number"),
        pytest.param({"HIP_VISIBLE_DEVICES": "2,0"}, {C, A}, id="HIP's"),
        pytest.param({"HIP_VISIBLE_DEVICES": "0, 1"}, {A}, id="HIP takes no blanks"),
        pytest.param({"HIP_VISIBLE_DEVICES": "01"}, set(), id="nor another spelling"),
        pytest.param({"HIP_VISIBLE_DEVICES": "0,0,1,"}, {A, B}, id="but one named twice"),
        pytest.param({"HIP_VISIBLE_DEVICES": B}, {B}, id="and uuids"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "1"}, {B}, id="CUDA's stands in for HIP's"),
        pytest.param(
            {"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "1"},
            {B},
            id="also for an empty one",
        ),
        pytest.param(
            {"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "1"}, {A}, id="not for a set one"
        ),
        pytest.param({"CUDA_VISIBLE_DEVICES": ""}, None, id="an empty one chooses nothing"),
        pytest.param({"CUDA_VISIBLE_DEVICES": "-1"}, set(), id="a wrong one leaves none"),
        pytest.param(
            {"ROCR_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "0"},
            {B},
            id="HIP counts what is left",
        ),
        pytest.param({"ROCR_VISIBLE_DEVICES": "\u0661"}, set(), id="other digits"),
    ],
)
def test_a_program_sees_what_rocm_would_show_it(
    environ: dict[str, str], shown: set[str] | None
) -> None:
    assert shown_uids(ALL, environ) == shown


def test_four_letters_are_too_little_of_a_uuid_where_it_is_the_only_one() -> None:
    assert shown_uids((A, C), {"ROCR_VISIBLE_DEVICES": "GPU-"}) == frozenset()
    assert shown_uids((A, C), {"ROCR_VISIBLE_DEVICES": "GPU-0"}) == frozenset({A})


OTHER = "/sys/class/drm/card1/device"


def two_cards() -> Entries:
    return {
        **desktop_card(),
        **on_bus("744C", "0000:03:00.0", folder=OTHER),
        **memory(20 * GIB, GIB, 32 * GIB, 0, folder=OTHER),
        f"{OTHER}/unique_id": "aa\n",
        f"{OTHER}/gpu_busy_percent": "7\n",
    }


def visible(entries: Entries, **environ: str) -> dict[str, bool]:
    return {gpu.uid: gpu.visible for gpu in read(machine(entries, environ=environ))}


def test_numbers_are_those_of_kfds_nodes() -> None:
    # The tenth node comes after the second, and here the lower address after the higher.
    entries = {path: entry for path, entry in two_cards().items() if "/nodes/1/" not in path}
    first = kfd_node(2, 0x2D00, 110000, width=384, clock=1249, gpu_id=777)
    second = kfd_node(10, 0x0300, 110000, width=384, clock=1249, gpu_id=888)

    shown = visible({**entries, **second, **first}, HIP_VISIBLE_DEVICES="0")

    assert shown == {A: False, B: True}


def test_without_kfd_numbers_go_by_the_address() -> None:
    entries = {path: entry for path, entry in two_cards().items() if "/kfd/" not in path}

    assert visible(entries, ROCR_VISIBLE_DEVICES="0") == {A: True, B: False}


def test_a_card_that_rocm_does_not_know_is_hidden_only_when_something_was_chosen() -> None:
    old = on_bus("6818", "0000:01:00.0", driver="radeon", folder="/sys/class/drm/card2/device")
    entries = {**desktop_card(), **old}

    assert visible(entries) == {B: True, "0000:01:00.0": True}
    assert visible(entries, HIP_VISIBLE_DEVICES="0") == {B: True, "0000:01:00.0": False}
