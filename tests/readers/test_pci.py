import pytest
from hypothesis import given
from hypothesis import strategies as st

from vramline.machine import RecordedMachine
from vramline.readers.pci import PciGpu, find_gpus, is_asleep, normal_address

DEVICES = "/sys/bus/pci/devices"
BUS = RecordedMachine(
    {
        f"{DEVICES}/0000:00:02.0/vendor": "0x8086\n",
        f"{DEVICES}/0000:00:02.0/class": "0x030000\n",
        f"{DEVICES}/0000:01:00.0/vendor": "0x10de\n",
        f"{DEVICES}/0000:01:00.0/class": "0x030200\n",
        f"{DEVICES}/0000:01:00.0/driver": {"symlink": "../../../bus/pci/drivers/nvidia"},
        f"{DEVICES}/0000:01:00.0/power/runtime_status": "suspended\n",
        f"{DEVICES}/0000:01:00.1/vendor": "0x10de\n",
        f"{DEVICES}/0000:01:00.1/class": "0x040300\n",
        f"{DEVICES}/0000:02:00.0/vendor": "0x10de\n",
        f"{DEVICES}/0000:02:00.0/class": "0x030000\n",
        f"{DEVICES}/0000:02:00.0/power/runtime_status": "unsupported\n",
    }
)


def test_a_vendors_display_controllers_are_found_with_their_drivers() -> None:
    assert find_gpus(BUS, "0x10de") == [
        PciGpu(address="0000:01:00.0", driver="nvidia"),
        PciGpu(address="0000:02:00.0", driver=None),
    ]


@pytest.mark.parametrize("name", ["zz", "zz:00:00.0", "-1:00:00.0", "0000:01:00.0\nx"])
def test_a_name_that_is_no_address_is_no_gpu(name: str) -> None:
    named = {f"{DEVICES}/{name}/vendor": "0x10de\n", f"{DEVICES}/{name}/class": "0x030000\n"}

    assert find_gpus(RecordedMachine(named), "0x10de") == []
    with pytest.raises(ValueError, match="no PCI address"):
        normal_address(name)


@pytest.mark.parametrize(
    ("driver", "is_kept"),
    [
        ("vfio-pci", True),
        ("nvgrace_gpu_vfio_pci", True),
        ("pci-stub", True),
        ("pciback", True),
        ("xen-pciback", True),
        ("nvidia", False),
        (None, False),
    ],
)
def test_some_drivers_keep_a_gpu_for_virtual_machines(driver: str | None, is_kept: bool) -> None:
    assert PciGpu(address="0000:01:00.0", driver=driver).is_kept is is_kept


def test_an_accelerator_of_amds_is_a_gpu_and_one_of_intels_is_none() -> None:
    machine = RecordedMachine(
        {
            f"{DEVICES}/0000:05:00.0/vendor": "0x1002\n",
            f"{DEVICES}/0000:05:00.0/class": "0x120000\n",
            f"{DEVICES}/0000:00:0b.0/vendor": "0x8086\n",
            f"{DEVICES}/0000:00:0b.0/class": "0x120000\n",
        }
    )

    assert find_gpus(machine, "0x1002") == [PciGpu(address="0000:05:00.0", driver=None)]
    assert find_gpus(machine, "0x8086") == []


def test_without_sysfs_none_are_found() -> None:
    assert find_gpus(RecordedMachine({}, platform="win32"), "0x10de") == []


def test_only_what_says_so_is_asleep() -> None:
    addresses = ("0000:01:00.0", "0000:02:00.0", "0000:00:02.0", "0000:09:00.0")

    assert [is_asleep(BUS, address) for address in addresses] == [True, False, False, False]


def test_an_address_is_written_as_the_kernel_writes_it() -> None:
    assert normal_address("00000000:01:00.0") == "0000:01:00.0"
    assert normal_address("0000000F:01:00.0") == "000f:01:00.0"
    assert normal_address("00010000:C1:00.0") == "10000:c1:00.0"


@given(st.integers(0, 2**32 - 1), st.from_regex(r"[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", fullmatch=True))
def test_a_normal_address_stays_as_it_is(domain: int, rest: str) -> None:
    once = normal_address(f"{domain:08X}:{rest}")

    assert normal_address(once) == once
