import pytest

from vramline.machine import RecordedMachine
from vramline.readers.pci_names import LISTS, device_name, marketing_name

NAMES = """\
# List of PCI ID's
1001  Kolter Electronic
1002  Advanced Micro Devices, Inc. [AMD/ATI]
\t1506  Mendocino
\t744c  Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]
\t\t1da2 e471  NITRO+ RX 7900 XTX Vapor-X
1003  ULSI Systems
\t744d  Another one's
C 03  Display controller
\t00  VGA compatible controller
"""


@pytest.mark.parametrize("path", LISTS)
def test_a_device_has_the_name_that_the_systems_list_gives_it(path: str) -> None:
    machine = RecordedMachine({path: NAMES})

    assert device_name(machine, "1002", "1506") == "Mendocino"
    assert device_name(machine, "1002", "744c") == (
        "Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]"
    )


def test_another_vendors_device_is_not_taken_for_it() -> None:
    machine = RecordedMachine({LISTS[0]: NAMES})

    assert device_name(machine, "1002", "744d") is None
    assert device_name(machine, "1002", "e471") is None
    assert device_name(machine, "0003", "0000") is None


def test_without_a_list_there_is_no_name() -> None:
    assert device_name(RecordedMachine({}), "1002", "744c") is None


def test_a_device_is_called_what_it_is_sold_as() -> None:
    assert marketing_name("Navi 31 [Radeon RX 7900 XTX]") == "Radeon RX 7900 XTX"
    assert marketing_name("Mendocino") == "Mendocino"
