"""How exactly the memory that a model needs is told, against what llama.cpp took for it.

``tests/data/fit/SOURCES.md`` says how the two tables that it is compared with were measured.
What a runner takes beside the model (a driver's context, its own code) is in neither, and is
left out here.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench import llmfit
from bench.result import Goal, Report, Result, Table
from tests.fit.truth import Run, further_runs, layout_of, runs
from vramline.fit.amounts import Amount, Part, add
from vramline.fit.estimate import estimate
from vramline.fit.need import MemoryNeed
from vramline.fit.settings import HOST

VRAMLINE = "vramline"

RAM, VRAM, BESIDE = "RAM", "VRAM", "RAM beside a device"
"""What the processor alone takes; what devices take; and the host's part in that."""

PUBLISHED: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "gguf-parser-go, measured earlier": {RAM: (18.6, 67.0, 287.0), VRAM: (7.7, 57.8, 437.0)},
    "llmfit, measured earlier": {RAM: (6.7, 46.9, 274.0), VRAM: (6.3, 48.2, 153.0)},
}
"""What the peers were off by, in per cent: the median, in nine of ten runs, the worst. This
project measured it over 859 and 587 runs of the same kind, of which the first table is a part."""

PARTS: Mapping[str, tuple[Part, ...]] = {
    "weights": (Part.WEIGHTS,),
    "keys, values and states": (Part.KV_CACHE, Part.RECURRENT_STATE),
    "output": (Part.OUTPUT,),
    "compute": (Part.COMPUTE,),
}
ALL = "all"
SUMS = ("weights", "keys, values and states", "output")
"""The parts that are sums over what a header lists."""

COLUMNS: Mapping[str, Sequence[str]] = {
    "weights": ("weights_{}", "weights_cpu", "weights_cpu_repack", "weights_cuda_host"),
    "keys, values and states": ("context_{}",),
    "output": ("output_bytes",),
    "compute": ("compute_{}",),
}
"""Where the tables have a part. A name that does not tell the place is the host's."""

PLACES = (HOST, "dev0", "dev1")
CLOSE_PERCENT = 1.0
LOW_PERCENT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is compared.

    Attributes:
        every: One in so many runs.
    """

    every: int = 1


QUICK = Sizes(every=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One part in one place in one run, or several together: what was measured, and told."""

    run: Run
    part: str
    place: str
    true: int
    told: Amount
    bounds: Amount

    @property
    def percent(self) -> float:
        """By how much too high it was told."""
        return percent(self.told.bytes, self.true)

    @property
    def is_enclosed(self) -> bool:
        """Whether it lies within its range, and within that of the quick answer."""
        return all(
            each.low_bytes <= self.true <= each.high_bytes for each in (self.told, self.bounds)
        )


def percent(told: float, true: float) -> float:
    """Return by how many per cent *told* is above *true*."""
    return 100 * (told - true) / true


def run(library: object, sizes: Sizes) -> Report:
    """Compare every run of both tables."""
    del library  # no driver has a part in it
    first, second = (
        [figure for each in table[:: sizes.every] for figure in figures(each)]
        for table in (runs(), further_runs())
    )
    own, others = totals(first), totals(second)
    tables = (
        Table(
            title=f"Off by, of all that a place holds: {counted(own)} of 32 models",
            results=(*errors(own), *published()),
        ),
        Table(
            title=f"Off by, but for the output buffer: {counted(others)} of 51 further models",
            results=tuple(errors(others)),
        ),
        Table(
            title="Both, by part and place",
            results=tuple(by_part([*first, *second, *own, *others])),
        ),
        Table(title="Both, by architecture", results=tuple(by_architecture([*own, *others]))),
        beside_llmfit(own),
    )
    return Report(tables=tables, goals=goals([*first, *second], [*own, *others]))


def figures(run: Run) -> Iterator[Figure]:
    """Compare each part in each place of one run, where it was measured."""
    layout = layout_of(run.header)
    need = estimate(layout, run.settings)
    bounds = estimate(layout, run.settings, quick=True)
    for part, kinds in PARTS.items():
        for place in PLACES:
            columns = columns_of(run, part, place)
            if columns:
                yield Figure(
                    run=run,
                    part=part,
                    place=place,
                    true=run.bytes(*columns),
                    told=amount_of(need, kinds, place),
                    bounds=amount_of(bounds, kinds, place),
                )


def columns_of(run: Run, part: str, place: str) -> list[str]:
    """Return the columns of the run's table that have this part in this place."""
    patterns = [each for each in COLUMNS[part] if place == HOST or "{}" in each]
    names = (pattern.format(place) for pattern in patterns)
    return [name for name in names if name in run.columns]


def amount_of(need: MemoryNeed, parts: Iterable[Part], place: str) -> Amount:
    """Add up some parts in one place."""
    return add(item.amount for item in need.items if item.place == place and item.part in parts)


def totals(figures: Iterable[Figure]) -> list[Figure]:
    """Add up the parts in each place, and all devices of a run."""
    groups: dict[tuple[str, int, str], list[Figure]] = {}
    for each in figures:
        groups.setdefault((each.run.model, each.run.row, kind_of(each)), []).append(each)
    every = [
        Figure(
            run=group[0].run,
            part=ALL,
            place=group[0].place,
            true=sum(each.true for each in group),
            told=add(each.told for each in group),
            bounds=add(each.bounds for each in group),
        )
        for (_, _, kind), group in groups.items()
    ]
    return [each for each in every if each.true]


def kind_of(figure: Figure) -> str:
    """Return which of the three kinds of memory it is a part of."""
    if figure.place != HOST:
        return VRAM
    return BESIDE if figure.run.settings.devices else RAM


def counted(figures: Iterable[Figure]) -> str:
    """Return how many runs these are of, in words."""
    return f"{len({(each.run.model, each.run.row) for each in figures})} runs"


def errors(figures: Sequence[Figure]) -> Iterator[Result]:
    """Give what vramline was off by, for each kind of memory."""
    for kind in (RAM, VRAM):
        percents = [each.percent for each in figures if kind_of(each) == kind]
        if percents:
            yield from spread(VRAMLINE, kind, percents)


def spread(subject: str, kind: str, percents: Sequence[float]) -> Iterator[Result]:
    """Give the median of what somebody was off by, the most in nine of ten, and the worst."""
    ordered = sorted(map(abs, percents))
    nine_of_ten = ordered[-(-len(ordered) * 9 // 10) - 1]
    yield from three(subject, kind, (median(ordered), nine_of_ten, ordered[-1]))


def three(subject: str, kind: str, percents: Sequence[float]) -> Iterator[Result]:
    """Give those three figures as cells."""
    for case, value in zip(("median", "9 of 10 within", "worst"), percents, strict=True):
        yield Result(case=f"{kind}: {case}", subject=subject, unit="%", values=(value,))


def published() -> Iterator[Result]:
    """Give the same of the peers."""
    for subject, kinds in PUBLISHED.items():
        for kind, values in kinds.items():
            yield from three(subject, kind, values)


def by_part(figures: Sequence[Figure]) -> Iterator[Result]:
    """Give how often each part was told to the byte."""
    for part in (*PARTS, ALL):
        for kind in (RAM, VRAM, BESIDE):
            these = [
                each
                for each in figures
                if (each.part, kind_of(each)) == (part, kind) and (each.true or each.told.bytes)
            ]
            if these:
                yield from row(f"{part}: {kind}", these)


def by_architecture(figures: Sequence[Figure]) -> Iterator[Result]:
    """Give the same of the totals of each architecture."""
    for architecture in sorted({each.run.architecture for each in figures}):
        yield from row(
            architecture, [each for each in figures if each.run.architecture == architecture]
        )


def row(subject: str, figures: Sequence[Figure]) -> Iterator[Result]:
    """Give how many figures there are, how many are equal, and what the others are off by."""
    percents = [each.percent if each.true else math.inf for each in figures]
    cells = {
        "figures": ("", len(figures)),
        "equal to the byte": ("", sum(not each for each in percents)),
        "within 1 %": ("", sum(abs(each) <= CLOSE_PERCENT for each in percents)),
        "most low": ("%", max(0.0, -min(percents))),
        "most high": ("%", max(0.0, *percents)),
        "beyond the range": ("", sum(not each.is_enclosed for each in figures)),
    }
    for case, (unit, value) in cells.items():
        yield Result(case=case, subject=subject, unit=unit, values=(float(value),))


def beside_llmfit(figures: Sequence[Figure]) -> Table:
    """Compare with llmfit on the runs that it can be asked about, where it is installed."""
    asked = [each for each in figures if kind_of(each) == VRAM and llmfit.is_asked(each.run)]
    program = llmfit.find()
    title = f"VRAM of public models wholly on one device, {len(asked)} runs"
    results = list(signed(VRAMLINE, [each.percent for each in asked]))
    if program is None or not asked:
        return Table(title=title, results=tuple(results), not_installed=(llmfit.PROGRAM,))
    answers = [llmfit.ask(program, each.run) for each in asked]
    for name, unit in llmfit.UNITS.items():
        percents = [
            percent(answer * unit, each.true) for answer, each in zip(answers, asked, strict=True)
        ]
        results += signed(f"{llmfit.PROGRAM}, {name}", percents)
    return Table(title=title, results=tuple(results))


def signed(subject: str, percents: Sequence[float]) -> Iterator[Result]:
    """Give what somebody was off by, and the most to each side."""
    if percents:
        yield from spread(subject, VRAM, percents)
        for case, value in (("most low", -min(percents)), ("most high", max(percents))):
            yield Result(case=case, subject=subject, unit="%", values=(max(0.0, value),))


def goals(parts: Sequence[Figure], totals: Sequence[Figure]) -> tuple[Goal, ...]:
    """Compare with what was aimed at."""
    sums = [each for each in parts if each.part in SUMS and (each.true or each.told.bytes)]
    wrong = sum(each.told.bytes != each.true for each in sums)
    far = sum(abs(each.percent) > CLOSE_PERCENT for each in totals)
    low = max(0.0, *(-each.percent for each in totals))
    beyond = sum(not each.is_enclosed for each in totals)
    what = f"of {len(sums):,} weights, keys and values, states and outputs, not equal to the byte"
    return (
        Goal(text=what, value=wrong, limit=0, unit=""),
        Goal(
            text=f"of {len(totals):,} totals, off by more than 1 %",
            value=100 * far / len(totals),
            limit=1.0,
            unit="%",
        ),
        Goal(text="the total that is told lowest, by", value=low, limit=LOW_PERCENT, unit="%"),
        Goal(text="totals beyond the range that is told", value=beyond, limit=0, unit=""),
    )
