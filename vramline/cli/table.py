"""The machine as a table for a person: two or three lines a device, and what there is to say of it.

Every column has one width on the whole page, so that a column of numbers stands
under each other. Where the page is too narrow a device's figures take two lines.
"""

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from vramline.cli.figures import Figures, figures_of, temperature
from vramline.cli.words import (
    BOUNDS,
    CAUSES,
    FIELDS,
    HIDDEN,
    POOLS,
    SILENT,
    SILENT_BUT,
    STATES,
    printable,
    vendor_name,
)
from vramline.readings import Cause, GpuProcess, GpuReading, GpuState, HostReading, Snapshot
from vramline.units import format_bytes

GAP = "  "
SHORTEST_BAR, LONGEST_BAR = 6, 24
NARROWEST = 40

LONGEST_NAME = 24
MOST_PROCESSES = 5
MANY_GPUS = 8
MOST_PROCESSES_OF_MANY = 2


PLAIN = str.maketrans({"█": "#", "░": "-", "°": None})
"""For a terminal that has no such characters."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide everything is on this page. ``bar`` is a host's; one further in has a shorter."""

    page: int
    columns: tuple[int, ...]
    bar: int
    one_line: bool


def render(snapshot: Snapshot, terminal: Console) -> str:
    """Return the page as text, as wide and as colourful as *terminal* takes it."""
    # On a console of its own, as rich writes to the real one even while it captures.
    coloured = terminal.color_system is not None and not terminal.legacy_windows
    page = Console(
        file=io.StringIO(),
        width=terminal.width,
        force_terminal=terminal.is_terminal,
        color_system="standard" if coloured else None,
        no_color=terminal.no_color,
        legacy_windows=False,
    )
    with page.capture() as capture:
        for line in lines(snapshot, page.width):
            line.rstrip()
            page.print(line, no_wrap=True, overflow="ignore", crop=False)
    text = capture.get()
    return text if terminal.encoding.startswith("utf") else text.translate(PLAIN)


def lines(snapshot: Snapshot, width: int) -> Iterator[Text]:
    """Return the lines of a page that is *width* characters wide."""
    devices = [*map(figures_of, snapshot.gpus), figures_of(snapshot.host)]
    layout = _layout(devices, max(width, NARROWEST))
    most = MOST_PROCESSES if len(snapshot.gpus) <= MANY_GPUS else MOST_PROCESSES_OF_MANY
    parents = {gpu.parent_uid for gpu in snapshot.gpus}
    digits = max((len(_index(gpu)) for gpu in snapshot.gpus), default=0)
    for gpu in snapshot.gpus:
        kind = "MIG" if gpu.parent_uid else "GPU"
        title = f"{kind} {_index(gpu):>{digits}}{GAP}{_name(gpu)}"
        yield from _gpu_lines(gpu, title, layout, is_cut=gpu.uid in parents)
        yield from _process_lines(_own_processes(gpu, snapshot.gpus), _indent(gpu), layout, most)
    if not snapshot.gpus:
        yield Text("No GPU", style="bold")
    yield Text()
    yield from _host_lines(snapshot.host, layout)
    yield from _vendor_lines(snapshot, layout.page)


def _layout(devices: Sequence[Figures], page: int) -> Layout:
    columns = tuple(
        max(len(cell) for cell in column)
        for column in zip(*(device.cells for device in devices), strict=True)
    )
    indent = len(GAP)
    bar = page - indent - _width_of(columns)
    if bar >= SHORTEST_BAR:
        return Layout(page, columns, min(bar, LONGEST_BAR), one_line=True)
    bar = page - indent - _width_of(columns[:2])
    return Layout(page, columns, min(max(bar, SHORTEST_BAR), LONGEST_BAR), one_line=False)


def _width_of(columns: Iterable[int]) -> int:
    return sum(len(GAP) + width for width in columns if width)


def _gpu_lines(gpu: GpuReading, title: str, layout: Layout, *, is_cut: bool) -> Iterator[Text]:
    indent = _indent(gpu)
    yield from _title(indent[len(GAP) :] + title, _remarks(gpu, is_cut=is_cut), layout.page)
    if gpu.is_silent:
        return
    figures = figures_of(gpu)
    if figures.any_known:
        yield from _figure_lines(figures, indent, layout)
    if gpu.throttle:
        reasons = ", ".join(gpu.throttle).replace("_", " ")
        yield from _note(f"throttled: {reasons}", indent, layout.page, "yellow")
    yield from _reasons(gpu, figures, "GPU", indent, layout.page)


def _host_lines(host: HostReading, layout: Layout) -> Iterator[Text]:
    cores = "" if host.cores is None else f"{host.cores:g} core{'' if host.cores == 1 else 's'}"
    yield from _title("Host", [(cores, "dim")], layout.page)
    figures = figures_of(host)
    if figures.any_known:
        yield from _figure_lines(figures, GAP, layout)
    if host.memory_limit_bytes is not None:
        limit = f"limited to {format_bytes(host.memory_limit_bytes)} by {host.limit_source}"
        yield from _note(printable(limit), GAP, layout.page, "dim")
    if host.swap_total_bytes and host.swap_used_bytes is not None:
        used, total = format_bytes(host.swap_used_bytes), format_bytes(host.swap_total_bytes)
        yield from _note(f"swap: {used} / {total}", GAP, layout.page, "dim")
    yield from _reasons(host, figures, "system", GAP, layout.page)


def _vendor_lines(snapshot: Snapshot, page: int) -> Iterator[Text]:
    if snapshot.absent or snapshot.failures:
        yield Text()
    for vendor, why in snapshot.absent.items():
        yield from _note(printable(f"{vendor_name(vendor)} absent: {why}"), "", page, "dim")
    for vendor, why in snapshot.failures.items():
        yield from _note(printable(f"{vendor_name(vendor)} failed: {why}"), "", page, "red")
    if snapshot.failures:
        yield from _note("`vramline doctor` looks for the cause", "", page, "")


def _indent(gpu: GpuReading) -> str:
    """Return what stands before each line on the GPU below its name."""
    return GAP * 2 if gpu.parent_uid else GAP


def _index(gpu: GpuReading) -> str:
    return "-" if gpu.index is None else str(gpu.index)


def _name(gpu: GpuReading) -> str:
    return printable(gpu.name or f"{vendor_name(gpu.vendor)} GPU {gpu.pci_address or gpu.uid}")


def _remarks(gpu: GpuReading, *, is_cut: bool) -> list[tuple[str, str]]:
    """Return what stands beside a GPU's name, each with its style."""
    age = f"{gpu.age_seconds:.{1 if gpu.age_seconds < 1 else 0}f} s old" if gpu.age_seconds else ""
    hidden = not gpu.visible and not is_cut  # one that is cut is used by its instances
    bound = gpu.memory_free_bound_by
    return [
        (STATES[gpu.state], "red" if gpu.state is GpuState.LOST else "cyan"),
        (age, "yellow"),
        (_all_that_is_told(gpu) if gpu.is_silent else "", "dim"),
        (POOLS[gpu.memory_pool], "dim"),
        (BOUNDS[bound] if bound else "", "dim"),
        (HIDDEN.get(gpu.vendor, "hidden") if hidden else "", "yellow"),
    ]


def _all_that_is_told(gpu: GpuReading) -> str:
    if gpu.temperature_celsius is None:
        return SILENT
    return f"{temperature(gpu.temperature_celsius)}, {SILENT_BUT}"


def _title(title: str, remarks: Sequence[tuple[str, str]], page: int) -> Iterator[Text]:
    """Return the title and, beside or else below it, the remarks."""
    line = Text(title, style="bold")
    told = [(text, style) for text, style in remarks if text]
    start = Text(title[: len(title) - len(title.lstrip())])
    if cell_len(title) + len(GAP) + len(", ".join(text for text, _ in told)) > page:
        yield line
        if not told:
            return
        line = start.copy()
    for place, (text, style) in enumerate(told):
        separator = ", " if place else GAP
        if place and line.cell_len + len(separator) + cell_len(text) > page:
            yield line.append(",", style="not bold dim")
            line, separator = start.copy(), GAP
        line.append(separator, style="not bold dim")
        line.append(text, style=f"not bold {style}")
    yield line


def _figure_lines(figures: Figures, indent: str, layout: Layout) -> Iterator[Text]:
    line = Text(indent)
    bar = layout.bar + len(GAP) - len(indent)
    line.append_text(_bar(figures.fraction, bar))
    for place, (cell, width) in enumerate(zip(figures.cells, layout.columns, strict=True)):
        if place == 2 and not layout.one_line:
            yield line
            line = Text(indent[len(GAP) :])
        if width:
            line.append(f"{GAP}{cell:>{width}}")
    if line.plain.strip():
        yield line


def _bar(fraction: float | None, width: int) -> Text:
    if fraction is None:
        return Text(" " * width)
    full = min(max(round(fraction * width), 0), width)
    style = "green" if fraction < 0.7 else "yellow" if fraction < 0.9 else "red"
    return Text.assemble(("█" * full, style), ("░" * (width - full), "dim"))


def _reasons(
    device: GpuReading | HostReading, figures: Figures, what: str, indent: str, page: int
) -> Iterator[Text]:
    """Return why each value that the table shows is not known: a line a cause."""
    by_cause: dict[Cause, dict[str, None]] = {}
    for field, words in FIELDS.items():
        cause = device.unknown.get(field)
        if cause is not None and cause is not Cause.ON_PARENT:
            by_cause.setdefault(cause, {})[words] = None
    for cause, fields in by_cause.items():
        everything = not figures.any_known and len(by_cause) == 1
        subject = "no figures" if everything else ", ".join(fields)
        yield from _note(f"{subject}: {CAUSES[cause].format(device=what)}", indent, page, "dim")


def _own_processes(gpu: GpuReading, gpus: Sequence[GpuReading]) -> list[GpuProcess]:
    """Return the processes on the GPU, without those on an instance of it: they stand there."""
    instances = (each for each in gpus if each.parent_uid == gpu.uid)
    elsewhere = {process.pid for each in instances for process in each.processes or ()}
    return [process for process in gpu.processes or () if process.pid not in elsewhere]


def _process_lines(
    processes: Sequence[GpuProcess], indent: str, layout: Layout, most: int
) -> Iterator[Text]:
    largest = sorted(processes, key=lambda process: -(process.memory_bytes or 0))
    rows = [_process_cells(process) for process in largest[:most]]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for memory, *others in rows:
        cells = [set_cell_size(cell, width) for cell, width in zip(others, widths[1:], strict=True)]
        line = Text(GAP.join([f"{indent}{memory:>{widths[0]}}", *cells]))
        line.truncate(layout.page, overflow="ellipsis")
        yield line
    if len(largest) > most:
        yield Text(f"{indent}and {len(largest) - most} more", style="dim")


def _process_cells(process: GpuProcess) -> list[str]:
    memory = "-" if process.memory_bytes is None else format_bytes(process.memory_bytes)
    container = f"in {process.container}" if process.container else ""
    name = printable(process.name or "-")
    return [
        memory,
        name if cell_len(name) <= LONGEST_NAME else f"{set_cell_size(name, LONGEST_NAME - 3)}...",
        str(process.pid),
        printable(process.user or "-"),
        container,
    ]


def _note(text: str, indent: str, page: int, style: str) -> Iterator[Text]:
    wrapped = textwrap.wrap(
        text,
        page,
        initial_indent=indent,
        subsequent_indent=indent + GAP,
        break_on_hyphens=False,
        break_long_words=False,  # a path is there to be copied
    )
    return (Text(line, style=style) for line in wrapped)
