from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vramline.machine import RecordedMachine
from vramline.readers.drm import Card, driver_version, find_cards, is_asleep

XE = (
    "DRIVER=xe\nPCI_CLASS=30000\nPCI_ID=8086:E20B\nPCI_SUBSYS_ID=8086:1100\n"
    "PCI_SLOT_NAME=0000:03:00.0\n"
)
CLASS = "/sys/class/drm"
TREE: dict[str, Any] = {
    f"{CLASS}/card1/device/uevent": XE,
    f"{CLASS}/card1/device/revision": "0xc8\n",
    f"{CLASS}/card1/device/power/runtime_status": "suspended\n",
    f"{CLASS}/renderD129/device/uevent": XE,
    f"{CLASS}/card1-DP-1/device/uevent": XE,
    # Its uevent cannot be read: links and the files beside them tell the same.
    f"{CLASS}/card0/device": {"symlink": "../../../devices/pci0000:00/0000:00:02.0"},
    "/sys/devices/pci0000:00/0000:00:02.0/driver": {"symlink": "../../../bus/pci/drivers/i915"},
    "/sys/devices/pci0000:00/0000:00:02.0/vendor": "0x8086\n",
    "/sys/devices/pci0000:00/0000:00:02.0/device": "0x5917\n",
    f"{CLASS}/card2/device/uevent": "DRIVER=nvidia\nPCI_SLOT_NAME=0000:09:00.0\n",
    f"{CLASS}/card3/device/uevent": "DRIVER=simple-framebuffer\nOF_NAME=framebuffer\n",
    f"{CLASS}/version": "drm 1.1.0 20060810\n",
}


def test_cards_are_found_by_driver_in_the_order_of_the_bus() -> None:
    assert find_cards(RecordedMachine(TREE), {"i915", "xe"}) == [
        Card(
            folder=f"{CLASS}/card0",
            device=f"{CLASS}/card0/device",
            driver="i915",
            address="0000:00:02.0",
            vendor_id="8086",
            device_id="5917",
            subsystem=None,
            revision=None,
            nodes=("/dev/dri/card0",),
        ),
        Card(
            folder=f"{CLASS}/card1",
            device=f"{CLASS}/card1/device",
            driver="xe",
            address="0000:03:00.0",
            vendor_id="8086",
            device_id="e20b",
            subsystem=("8086", "1100"),
            revision="c8",
            nodes=("/dev/dri/card1", "/dev/dri/renderD129"),
        ),
    ]


def test_the_node_for_rendering_is_told_apart() -> None:
    integrated, discrete = find_cards(RecordedMachine(TREE), {"i915", "xe"})

    assert (integrated.render_node, discrete.render_node) == (None, "/dev/dri/renderD129")


def test_a_suspended_card_is_asleep() -> None:
    machine = RecordedMachine(TREE)

    assert [is_asleep(machine, card) for card in find_cards(machine, {"i915", "xe"})] == [
        False,
        True,
    ]


def test_without_sysfs_there_are_no_cards() -> None:
    assert find_cards(RecordedMachine({}), {"xe"}) == []


def test_a_driver_that_comes_with_the_kernel_has_the_kernels_version() -> None:
    kernel = {"/proc/sys/kernel/osrelease": "6.12.107\n"}
    own = {"/sys/module/amdgpu/version": "6.10.5\n"}

    assert driver_version(RecordedMachine(kernel | own), "amdgpu") == "6.10.5"
    assert driver_version(RecordedMachine(kernel), "amdgpu") == "6.12.107"
    assert driver_version(RecordedMachine({}), "amdgpu") is None
    for nonsense in ("6.1\x1b[31m", "\0", "9" * 5000):
        unclear = {"/sys/module/amdgpu/version": nonsense}
        assert driver_version(RecordedMachine(kernel | unclear), "amdgpu") == "6.12.107"


@given(st.text(), st.text(), st.text())
def test_a_tree_of_nonsense_gives_no_cards_or_whole_ones(name: str, uevent: str, link: str) -> None:
    tree: dict[str, Any] = {
        f"{CLASS}/card0/device/uevent": uevent + "\nDRIVER=xe",
        f"{CLASS}/card0/device/driver": {"symlink": link},
        f"{CLASS}/card{name}/device/uevent": XE,
    }

    for card in find_cards(RecordedMachine(tree), {"xe"}):
        assert card.address == "0000:03:00.0" or uevent
