"""What one look costs with many cards of three vendors, beside a bare read of the same files.

The cards are copies of recorded ones, as files in a folder; NVIDIA's answer through the
stand-in. What the kernel does to make a figure is not in these costs: only what reading it
and making a reading of it takes.
"""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import overhead, subjects
from bench.child import Child, Setting
from bench.drivers import AT_ONCE, script
from bench.result import Goal, Report, Result, Table, find, per_round
from tests.machines import entries_of

SUBJECTS = (subjects.HOST_FILES, subjects.BARE, subjects.SNAPSHOT, subjects.GLANCES_CARDS)
RECORDED = ("amd/rx7900xtx", "intel/b580")
HOST = "host/desktop_v2"
LACKING = {
    "mem_info_vram_total": "25753026560\n",
    "mem_info_vram_used": "1487642624\n",
    "mem_info_gtt_total": "16731316224\n",
    "mem_info_gtt_used": "61341696\n",
    "mem_busy_percent": "2\n",
    "power/runtime_status": "active\n",
}
"""What every such card has beside the files that its recording kept."""

TO_BARE = 4.0
GROWTH = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        cards: How many of them the machine has, a third of each vendor.
        seconds: For each subject in each round.
    """

    cards: tuple[int, ...] = (4, 16, 64)
    rounds: int = 11
    seconds: float = 0.3


QUICK = Sizes(cards=(3, 6), rounds=2, seconds=0.02)


def run(library: Path, sizes: Sizes) -> Report:
    """Measure every subject on each machine."""
    turns = overhead.Sizes(rounds=sizes.rounds, seconds=sizes.seconds)
    results: list[Result] = []
    opened: list[Result] = []
    for count in sizes.cards:
        with TemporaryDirectory() as folder:
            nvidia = plant(Path(folder), count)
            setting = Setting(library=str(library), script=script(nvidia, AT_ONCE), root=folder)
            setting = overhead.with_files(setting)
            results += overhead.interleaved(SUBJECTS, setting, _case(count), turns)
            opened += _files(setting, count)
    bares = {each.case: each for each in results if each.subject == subjects.BARE}
    ratios = tuple(per_round(each, bares[each.case]) for each in results)
    each_file = tuple(_per_file(results, opened))
    return Report(
        tables=(
            Table(title="Processor time of one look", results=tuple(results)),
            Table(title="The same, as a multiple of the bare loop's", results=ratios),
            Table(title="Files opened in one look", results=tuple(opened)),
            Table(title="Processor time of one look, for each file", results=each_file),
        ),
        goals=tuple(_goals(ratios, each_file, sizes.cards)),
    )


def plant(folder: Path, count: int) -> int:
    """Write a machine with that many cards into *folder*; return how many of them are NVIDIA's."""
    write(folder, {**entries_of(HOST), "/proc/self": {"symlink": "1"}})
    per_vendor = len(RECORDED) + 1
    nvidia = count // per_vendor
    for number in range(count - nvidia):
        write(folder, copy(entries_of(RECORDED[number % len(RECORDED)]), number))
    for number in range(count - nvidia, count):
        write(folder, nvidia_card(number))
    return nvidia


def copy(entries: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return a card's files as those of the card of that number, at a place of its own."""
    card = re.compile(r"^/sys/class/drm/card\d+(?=/)")
    moved = {
        card.sub(f"/sys/class/drm/card{number}", path): entry for path, entry in entries.items()
    }
    uevent = f"/sys/class/drm/card{number}/device/uevent"
    moved[uevent] = re.sub(r"PCI_SLOT_NAME=.*", f"PCI_SLOT_NAME={address(number)}", moved[uevent])
    if "DRIVER=amdgpu" in moved[uevent]:
        moved |= {uevent.replace("uevent", name): text for name, text in LACKING.items()}
    node = f"/sys/class/drm/renderD{128 + number}/device/uevent"
    return {path: entry for path, entry in moved.items() if path.startswith("/sys/class/drm")} | {
        node: moved[uevent]
    }


def nvidia_card(number: int) -> dict[str, Any]:
    """Return what sysfs has of a card that NVIDIA's driver is bound to."""
    uevent = f"DRIVER=nvidia\nPCI_ID=10DE:2704\nPCI_SLOT_NAME={address(number)}\n"
    return {f"/sys/class/drm/card{number}/device/uevent": uevent}


def address(number: int) -> str:
    """Return a place on the bus for each card."""
    return f"0000:{number + 1:02x}:00.0"


def write(folder: Path, entries: Mapping[str, Any]) -> None:
    """Write recorded files and links below *folder*."""
    for path, entry in entries.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, str):
            place.write_text(entry)
        elif "base64" in entry:
            place.write_bytes(base64.b64decode(entry["base64"]))
        elif "symlink" in entry and not place.is_symlink() and not place.exists():
            place.symlink_to(entry["symlink"])


def _case(count: int) -> str:
    return f"{count} cards"


def _files(setting: Setting, count: int) -> Iterator[Result]:
    for name in SUBJECTS[1:]:
        if subjects.is_installed(name):
            with Child(name, setting) as child:
                number = float(len(child.ask("count")["files"]))
            yield Result(case=_case(count), subject=name, unit="", values=(number,))


def _per_file(results: Sequence[Result], opened: Sequence[Result]) -> Iterator[Result]:
    for each in results:
        files = find(opened, case=each.case, subject=each.subject)
        if files is not None and each.subject in (subjects.BARE, subjects.SNAPSHOT):
            microseconds = tuple(1e3 * value / files.median for value in each.values)
            yield replace(each, unit="µs", values=microseconds)


def _goals(
    ratios: Sequence[Result], each_file: Sequence[Result], counts: Sequence[int]
) -> Iterator[Goal]:
    fewest, most = _case(min(counts)), _case(max(counts))
    if ratio := find(ratios, case=most, subject=subjects.SNAPSHOT):
        yield Goal(
            text=f"a snapshot of {most} to the bare loop",
            value=ratio.median,
            limit=TO_BARE,
            unit="x",
        )
    few = find(each_file, case=fewest, subject=subjects.SNAPSHOT)
    many = find(each_file, case=most, subject=subjects.SNAPSHOT)
    if few and many:
        yield Goal(
            text=f"a file's cost with {most} to that with {fewest}",
            value=many.median / few.median,
            limit=GROWTH,
            unit="x",
        )
