"""The models on this disk as a page for a person."""

import os
from collections.abc import Iterator, Sequence

from vramline.cli.fit import words
from vramline.cli.fit.command import Start
from vramline.cli.fit.lines import GAP, end_of, padded, paragraph, width_of
from vramline.cli.fit.page import start_lines
from vramline.cli.fit.words import Names
from vramline.cli.models.listing import Line, Listing
from vramline.cli.words import printable
from vramline.fit.library import Place, UnreadablePlace
from vramline.fit.plan.holders import can_be_closed
from vramline.fit.plan.values import Holder, HolderKind, Refusal, Why
from vramline.fit.plan.wish import Placement
from vramline.units import format_bytes

INDENT = "  "
SHORTEST_NAME = 16
MOST_BROKEN = 10
MOST_HOLDERS = 2
WHERE_TO_GET = (
    "What would help: `ollama pull qwen3:4b` or `llama-server -hf ggml-org/gemma-3-4b-it-GGUF` "
    "get a model; `vramline models FOLDER` looks in a folder of yours too."
)


def page_of(
    listing: Listing,
    names: Names,
    width: int,
    *,
    start: Start | None,
    unreadable: Sequence[UnreadablePlace],
    notes: Sequence[str],
    is_cut: bool,
) -> str:
    """Return the page; *is_cut*: names that are too long for it are."""
    blocks = [
        list(choice(listing, names, start, width)),
        list(table(listing.lines, names, width if is_cut else None)),
        list(rest(listing, unreadable, width)),
        [line for note in notes for line in paragraph(note, width)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def empty_page(places: Sequence[Place], width: int) -> Iterator[str]:
    """Say that there is nothing, where it was looked for, and what would help."""
    yield "No model was found. Looked in:"
    for place in places:
        there = "" if os.path.isdir(place.path) else " (not there)"
        yield f"{INDENT}{printable(place.path)}{there}"
    yield from paragraph(WHERE_TO_GET, width)


def choice(listing: Listing, names: Names, start: Start | None, width: int) -> Iterator[str]:
    """Say what to run, how, and why not a better one."""
    best = listing.best
    if best is None:
        yield from nothing(listing, names, width)
        return
    yield from paragraph(f"Run {title(best)}: {reason(best, names)}.", width)
    if start:
        yield ""
        yield from start_lines(start, width)
    if listing.better:
        yield ""
    for refusal in listing.better:
        yield from paragraph(why_not(refusal, names), width)
    everyone = (each for refusal in listing.better for each in refusal.holders)
    yield from held(list(dict.fromkeys(everyone)), names, width)


def nothing(listing: Listing, names: Names, width: int) -> Iterator[str]:
    """Say that there is nothing to run, what comes nearest, and what would help."""
    nearest = listing.lines[0] if listing.lines else None
    if nearest is None or nearest.refusal is None:
        yield "There is no model here that can be run."
        return
    if nearest.refusal.why is Why.HOST_UNKNOWN:
        yield from paragraph("Whether any of the models here fits is not known.", width)
        return
    yield from paragraph("None of the models here fits what is free now.", width)
    if not nearest.missing_bytes:
        return
    missing = misses(nearest.refusal, names)
    yield from paragraph(f"{title(nearest)} comes nearest, and misses by {missing}.", width)
    yield from held(nearest.refusal.holders, names, width)
    if nearest.refusal.change:
        helps = words.change(nearest.refusal.change, names)
        yield from paragraph(f"What would help: {helps}.", width)


def title(line: Line) -> str:
    """Return a model's name with its quantisation."""
    kind = kind_of(line)
    return printable(line.subject.name) + (f" ({kind})" if kind else "")


def kind_of(line: Line) -> str:
    """Return the quantisation, unless the name has it."""
    kind = line.subject.quantisation or ""
    return "" if kind.casefold() in line.subject.name.casefold() else kind


def reason(line: Line, names: Names) -> str:
    """Return why that one."""
    found = line.choice
    if found is None:
        return ""
    where = words.placed(found.settings, found.placement, found.candidate, names)
    whole = words.devices_of(found.settings, names)
    told = {
        Placement.DEVICES: f"the best model here that fits on {whole}",
        Placement.HOST: "the best model here that fits on the processor",
    }.get(found.placement, f"the best model here that fits, {where}")
    context = f", with {words.context(found.context_tokens)}{words.kept_in((found.cache_type,))}"
    if not line.subject.makes_text:
        return f"{told}{context}. It makes embeddings, and no text"
    fast = words.speed(found.speed)
    return told + context + (f". It makes {fast}" if fast else "")


def why_not(refusal: Refusal, names: Names) -> str:
    """Return why a better one is not run so, and what would help."""
    name = printable(refusal.candidate.name)
    missing = misses(refusal, names)
    if not missing:
        return f"{name} would be better, but cannot be run so."
    told = f"{name} would be better, but misses by {missing}"
    if enough := would_do(refusal):
        way = "unloaded" if enough.kind is HolderKind.LOADED_MODEL else "closed"
        told += f"; it would fit if {words.holder(enough)} were {way}"
    return f"{told}."


def misses(refusal: Refusal, names: Names) -> str:
    """Return by how much a model misses, and where."""
    return words.listed(
        [
            f"{format_bytes(use.missing_bytes)} on {words.room_name(use.room, names)}"
            for use in refusal.uses
            if use.missing_bytes
        ]
    )


def would_do(refusal: Refusal) -> Holder | None:
    """Return the one who holds least, of those who hold as much as is missing in one place."""
    short = [use for use in refusal.uses if use.missing_bytes]
    enough = [
        each
        for each in refusal.holders
        if len(short) == 1
        and each.place in short[0].room.places
        and (each.held_bytes or 0) >= short[0].missing_bytes
        and (each.can_be_unloaded or can_be_closed(each))
    ]
    return min(enough, key=lambda each: each.held_bytes or 0, default=None)


def held(found: Sequence[Holder], names: Names, width: int) -> Iterator[str]:
    """Say who holds most of the memory that is missing."""
    most = sorted(found, key=lambda each: -(each.held_bytes or 0))[:MOST_HOLDERS]
    if most:
        yield from paragraph(f"{words.holding(most, names)}.", width)


def table(lines: Sequence[Line], names: Names, width: int | None) -> Iterator[str]:
    """Give a line for each model, no wider than *width*."""
    if not lines:
        return
    rows = [["model", "size", "type", "context", "runs on"]]
    rows += [list(cells(line, names)) for line in lines]
    if not any(row[2] for row in rows[1:]):
        rows = [[*row[:2], *row[3:]] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        room = width - sum(widths[1:]) - len(GAP) * (len(widths) - 1)
        widths[0] = min(widths[0], max(room, SHORTEST_NAME))
    for name, *others, runs in rows:
        shown = [padded(end_of(name, widths[0]), widths[0], left=True)]
        shown += [
            padded(each, size, left=False) for each, size in zip(others, widths[1:-1], strict=True)
        ]
        yield GAP.join([*shown, runs]).rstrip()


def cells(line: Line, names: Names) -> Iterator[str]:
    """Give what a line says."""
    subject = line.subject
    yield printable(subject.name)
    yield format_bytes(subject.file_bytes)
    yield kind_of(line)
    yield f"{subject.trained_tokens:,}" if subject.trained_tokens else ""
    yield runs_on(line, names)


def runs_on(line: Line, names: Names) -> str:
    """Return where a model runs, or by how much it misses."""
    if line.choice is None:
        if line.refusal and line.refusal.why is Why.HOST_UNKNOWN:
            return "not known"
        missing = line.missing_bytes
        return f"no: misses by {format_bytes(missing)}" if missing else "no"
    where = words.placed_shortly(line.choice.settings, line.choice.candidate, names)
    return where if line.subject.makes_text else f"{where} (embeddings)"


def rest(listing: Listing, unreadable: Sequence[UnreadablePlace], width: int) -> Iterator[str]:
    """Say what is not in the table, and why."""
    if listing.more:
        yield f"and {words.count(listing.more, 'other model')} (--all)"
    for why, many in listing.left_out.items():
        yield from paragraph(f"{words.count(many, 'model')} left out: {why}", width)
    for broken in listing.broken[:MOST_BROKEN]:
        text = f"Cannot be run: {printable(broken.found.name)}: {printable(broken.why)}"
        yield from paragraph(text, width)
    if len(listing.broken) > MOST_BROKEN:
        yield f"and {len(listing.broken) - MOST_BROKEN} more that cannot be run (--json)"
    for place in unreadable:
        yield from paragraph(
            f"Could not be looked into: {printable(place.path)}: {printable(place.reason)}", width
        )
