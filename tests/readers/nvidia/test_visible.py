import pytest

from vramline.readers.nvidia.visible import Mig, Visibility
from vramline.readings import GpuReading

SAME = [GpuReading(uid=f"GPU-{letter}{letter}", vendor="nvidia", name="H100") for letter in "abc"]
MIXED = [
    GpuReading(uid="GPU-aa", vendor="nvidia", name="RTX 3060"),
    GpuReading(uid="GPU-ab", vendor="nvidia", name="RTX 4090"),
]
CUT = [
    GpuReading(uid="GPU-aa", vendor="nvidia", name="A100"),
    GpuReading(uid="MIG-11", vendor="nvidia", name="A100 MIG 3g", parent_uid="GPU-aa"),
    GpuReading(uid="MIG-12", vendor="nvidia", name="A100 MIG 1g", parent_uid="GPU-aa"),
    GpuReading(uid="GPU-bb", vendor="nvidia", name="A100"),
]
MIG = Mig(
    cut=frozenset({"GPU-aa"}),
    aliases={"MIG-GPU-aa/1/0": "MIG-11", "MIG-GPU-aa/2/0": "MIG-12"},
)
NO_MIG = Mig()


def shown(gpus: list[GpuReading], **environ: str) -> dict[str, int | None]:
    settled = Visibility(environ).arrange(gpus, MIG if gpus is CUT else NO_MIG)
    return {gpu.uid: gpu.cuda_index for gpu in settled if gpu.visible}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0,1,2", {"GPU-aa": 0, "GPU-bb": 1, "GPU-cc": 2}),
        ("2,0", {"GPU-cc": 0, "GPU-aa": 1}),
        (" 1 , 2 ", {"GPU-bb": 0, "GPU-cc": 1}),
        ("1", {"GPU-bb": 0}),
        ("", {}),
        ("-1", {}),
        ("none", {}),
        ("NoDevFiles", {}),
        ("0,7,1", {"GPU-aa": 0}),
        ("0,-1,1", {"GPU-aa": 0}),
        ("0,,1", {"GPU-aa": 0}),
        ("1,x,2", {"GPU-bb": 0}),
        ("1gpu,2", {"GPU-bb": 0, "GPU-cc": 1}),
        ("0,1,0", {}),
        ("GPU-bb", {"GPU-bb": 0}),
        ("GPU-c,GPU-a", {"GPU-cc": 0, "GPU-aa": 1}),
        ("GPU-", {}),
        ("GPU-zz,GPU-aa", {}),
        ("GPU-aa,GPU-zz,GPU-bb", {"GPU-aa": 0}),
        ("GPU-aa,1", {"GPU-aa": 0}),
        ("1,GPU-aa", {"GPU-bb": 0}),
        ("GPU-aa,GPU-aa", {}),
        ("99999999999999999999", {}),
        ("9" * 5000, {}),
        ("\u0661", {}),
        (" GPU-bb", {"GPU-bb": 0}),
    ],
)
def test_cuda_visible_devices_chooses_as_cuda_does(
    value: str, expected: dict[str, int | None]
) -> None:
    assert shown(SAME, CUDA_VISIBLE_DEVICES=value) == expected


def test_without_the_variable_all_are_visible() -> None:
    assert shown(SAME) == {"GPU-aa": 0, "GPU-bb": 1, "GPU-cc": 2}


def test_nothing_is_hidden_from_the_list() -> None:
    assert len(Visibility({"CUDA_VISIBLE_DEVICES": ""}).arrange(SAME, NO_MIG)) == 3


def test_among_different_models_cudas_order_is_not_known() -> None:
    assert shown(MIXED) == {"GPU-aa": None, "GPU-ab": None}
    assert shown(MIXED, CUDA_VISIBLE_DEVICES="1") == {"GPU-ab": None}


def test_among_different_models_the_order_of_the_bus_can_be_asked_for() -> None:
    assert shown(MIXED, CUDA_DEVICE_ORDER="PCI_BUS_ID") == {"GPU-aa": 0, "GPU-ab": 1}


def test_a_uuid_is_exact_among_different_models() -> None:
    assert shown(MIXED, CUDA_VISIBLE_DEVICES="GPU-ab") == {"GPU-ab": 0}
    assert shown(MIXED, CUDA_VISIBLE_DEVICES="GPU-a") == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("MIG-12", {"MIG-12": 0}),
        ("MIG-12,MIG-11", {"MIG-12": 0, "MIG-11": 1}),
        ("MIG-GPU-aa/1/0", {"MIG-11": 0}),
        ("MIG-GPU-aa/7/0", {}),
        ("MIG-1", {}),
        ("GPU-aa", {"MIG-11": 0}),
        ("GPU-bb", {"GPU-bb": 0}),
        ("0", {"MIG-11": None}),
        ("1", {"GPU-bb": None}),
    ],
)
def test_instances_are_chosen_by_their_names(value: str, expected: dict[str, int | None]) -> None:
    assert shown(CUT, CUDA_VISIBLE_DEVICES=value) == expected


def test_a_gpu_with_mig_on_and_no_instance_cannot_be_used() -> None:
    visibility = Visibility({})
    mig = Mig(cut=frozenset({"GPU-aa"}))

    assert [gpu.visible for gpu in visibility.arrange(SAME, mig)] == [False, True, True]
    assert [
        gpu.visible for gpu in Visibility({"CUDA_VISIBLE_DEVICES": "0,1"}).arrange(SAME, mig)
    ] == [False, True, False]


def test_a_gpu_without_a_name_may_be_of_any_model() -> None:
    unnamed = GpuReading(uid="GPU-dd", vendor="nvidia")

    assert set(shown([SAME[0], unnamed]).values()) == {None}
    assert shown([unnamed]) == {"GPU-dd": 0}


def test_a_gpu_that_is_cut_cannot_be_used_as_a_whole() -> None:
    assert shown(CUT) == {"MIG-11": None, "MIG-12": None, "GPU-bb": None}


def test_what_is_settled_already_is_handed_on_as_it_is() -> None:
    visibility = Visibility({})
    settled = visibility.arrange(SAME, NO_MIG)

    again = visibility.arrange(settled, NO_MIG)

    assert all(a is b for a, b in zip(again, settled, strict=True))


def test_a_change_of_the_environment_is_seen() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "0"}
    visibility = Visibility(environ)
    first = visibility.arrange(SAME, NO_MIG)
    environ["CUDA_VISIBLE_DEVICES"] = "1,2"

    second = visibility.arrange(first, NO_MIG)

    assert [gpu.cuda_index for gpu in first] == [0, None, None]
    assert [gpu.cuda_index for gpu in second] == [None, 0, 1]
