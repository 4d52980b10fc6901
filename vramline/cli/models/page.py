"""The models on this disk as a page for a person."""

import os
from collections.abc import Iterator, Sequence

from vramline.cli.fit import words
from vramline.cli.fit.command import Start
from vramline.cli.fit.lines import GAP, paragraph
from vramline.cli.fit.words import Names
from vramline.cli.models.listing import Line, Listing
from vramline.cli.words import printable
from vramline.fit.library import Place, UnreadablePlace
from vramline.fit.plan.values import Holder, HolderKind, Refusal
from vramline.fit.plan.wish import Placement
from vramline.units import format_bytes

INDENT = "  "
SHORTEST_NAME = 16
MOST_BROKEN = 10
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
) -> str:
    """Return the page."""
    blocks = [
        list(choice(listing, names, start, width)),
        list(table(listing.lines, names, width)),
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
    if best is None or best.choice is None:
        yield from paragraph("None of the models here fits what is free now.", width)
        return
    yield from paragraph(f"Run {title(best)}: {reason(best, names)}.", width)
    if start:
        yield ""
        yield from (INDENT + printable(line) for line in start.lines)
        for each in start.before:
            yield from paragraph(f"{printable(each)}.", width, INDENT)
    if listing.better:
        yield ""
    for refusal in listing.better:
        yield from paragraph(why_not(refusal, names), width)


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
    kept = "" if found.cache_type == "F16" else f", kept in {found.cache_type}"
    fast = words.speed(found.speed)
    context = f", with a context of {found.context_tokens:,} tokens{kept}"
    return told + context + (f". It makes {fast}" if fast else "")


def why_not(refusal: Refusal, names: Names) -> str:
    """Return why a better one is not run so, and what would help."""
    name = printable(refusal.candidate.name)
    short = [use for use in refusal.uses if use.missing_bytes]
    if not short:
        return f"{name} would be better, but cannot be run so."
    missing = " and ".join(
        f"{format_bytes(use.missing_bytes)} on {words.room_name(use.room, names)}" for use in short
    )
    told = [f"{name} would be better, but misses {missing}."]
    if refusal.holders:
        told.append(f"There {holders(refusal.holders)}.")
    if enough := would_do(refusal):
        way = "unloaded" if enough.kind is HolderKind.LOADED_MODEL else "closed"
        told.append(f"It would fit if {words.holder(enough)} were {way}.")
    return " ".join(told)


def would_do(refusal: Refusal) -> Holder | None:
    """Return the one who holds least, of those who hold as much as is missing in one place."""
    short = [use for use in refusal.uses if use.missing_bytes]
    enough = [
        each
        for each in refusal.holders
        if len(short) == 1
        and each.place in short[0].room.places
        and (each.held_bytes or 0) >= short[0].missing_bytes
    ]
    return min(enough, key=lambda each: each.held_bytes or 0, default=None)


def holders(found: Sequence[Holder]) -> str:
    """Return who holds most of the memory that is missing."""
    return " and ".join(words.holding(each) for each in found[:2])


def table(lines: Sequence[Line], names: Names, width: int) -> Iterator[str]:
    """Give a line for each model."""
    if not lines:
        return
    rows = [["model", "size", "type", "context", "runs on"]]
    rows += [list(cells(line, names)) for line in lines]
    if not any(row[2] for row in rows[1:]):
        rows = [[*row[:2], *row[3:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = width - sum(widths[1:]) - len(GAP) * (len(widths) - 1)
    widths[0] = min(widths[0], max(room, SHORTEST_NAME))
    for name, size, *others, runs in rows:
        shown = name if len(name) <= widths[0] else f"...{name[3 - widths[0] :]}"
        cut = [f"{shown:<{widths[0]}}", f"{size:>{widths[1]}}"]
        cut += [f"{other:>{length}}" for other, length in zip(others, widths[2:], strict=False)]
        yield GAP.join([*cut, runs]).rstrip()


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
        missing = line.missing_bytes
        return f"no: misses by {format_bytes(missing)}" if missing else "no"
    return words.placed_shortly(line.choice.settings, line.choice.candidate, names)


def rest(listing: Listing, unreadable: Sequence[UnreadablePlace], width: int) -> Iterator[str]:
    """Say what is not in the table, and why."""
    if listing.more:
        yield f"and {words.count(listing.more, 'other model')} (--all)"
    for broken in listing.broken[:MOST_BROKEN]:
        text = f"Cannot be run: {printable(broken.found.name)}: {printable(broken.why)}"
        yield from paragraph(text, width)
    if len(listing.broken) > MOST_BROKEN:
        yield f"and {len(listing.broken) - MOST_BROKEN} more that cannot be run (--json)"
    for place in unreadable:
        yield from paragraph(
            f"Could not be looked into: {printable(place.path)}: {printable(place.reason)}", width
        )
