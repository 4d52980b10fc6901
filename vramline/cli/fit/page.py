"""The answer to ``vramline fit`` as a page for a person."""

from collections.abc import Iterator, Sequence

from vramline.cli.fit import words
from vramline.cli.fit.answer import Answer
from vramline.cli.fit.command import Start
from vramline.cli.fit.grid import Cell
from vramline.cli.fit.lines import aligned, paragraph
from vramline.cli.fit.words import PARTS, RUNNERS, Names
from vramline.cli.words import printable
from vramline.fit.amounts import Amount, Part, add
from vramline.fit.need import MemoryNeed
from vramline.fit.plan.values import RoomUse, Why
from vramline.fit.settings import HOST
from vramline.units import format_bytes

INDENT = "  "
MOST_HOLDERS = 5


def page_of(
    found: Answer,
    names: Names,
    width: int,
    *,
    start: Start | None,
    cells: Sequence[Cell],
    notes: Sequence[str],
) -> str:
    """Return the page."""
    blocks = [
        list(headline(found, width)),
        list(verdict(found, names, width)),
        list(starting(found, start, width)),
        list(needs(found, names)),
        list(grid(cells, found, width)),
        [line for note in notes for line in paragraph(note, width)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def headline(found: Answer, width: int) -> Iterator[str]:
    """Say which model it is."""
    subject = found.subject
    trained = subject.trained_tokens
    told = [
        subject.quantisation or "",
        words.parameters(subject.parameters),
        format_bytes(subject.file_bytes + subject.missing_bytes),
        f"trained on {trained:,} tokens" if trained else "",
    ]
    yield printable(subject.name)
    yield from paragraph(", ".join(each for each in told if each), width, INDENT)
    if subject.missing_bytes:
        yield from paragraph(
            f"The file is not whole: {format_bytes(subject.missing_bytes)} are missing. "
            "It cannot be loaded before they are there.",
            width,
            INDENT,
        )


def verdict(found: Answer, names: Names, width: int) -> Iterator[str]:
    """Say whether it fits, and if not, why and what would help."""
    if found.fits is None:
        yield from paragraph(f"Loaded so: {as_judged(found, names)}.", width)
    elif found.fits:
        fits = "It would fit" if found.subject.missing_bytes else "It fits"
        yield from paragraph(f"{fits}: {as_judged(found, names)}.", width)
    else:
        yield from refusal(found, names, width)
    if found.fits and found.subject.makes_text and (fast := words.speed(found.speed)):
        yield from paragraph(f"It makes {fast}.", width)


def as_judged(found: Answer, names: Names) -> str:
    """Return where it runs, with which context."""
    if found.settings is None:
        return ""
    slots = (found.effect.sequences if found.effect else found.settings.sequences) or 1
    where = words.placed(found.settings, found.placement, found.candidate, names)
    context = words.context(found.context_tokens)
    if slots > 1:
        shared = found.effect is not None and found.effect.unified
        context += f" that {slots} slots share" if shared else f" for each of {slots} slots"
    kinds = (found.settings.cache_type_k, found.settings.cache_type_v)
    return f"{where}, with {context}{words.kept_in(kinds)}"


def refusal(found: Answer, names: Names, width: int) -> Iterator[str]:
    """Say why not."""
    verdict = "Whether it fits is not known" if found.undecided else "It does not fit"
    yield from paragraph(f"{verdict}: {reason(found, names)}.", width)
    if found.settings is not None:
        tried = "The nearest try" if found.planned else "As it was said"
        yield from paragraph(f"{tried}: {as_judged(found, names)}.", width, INDENT)
    for use in found.uses:
        if use.missing_bytes and use.room.free_bytes is not None:
            yield from paragraph(short_of(use, names), width, INDENT)
    if found.holders:
        yield from paragraph(
            f"{words.holding(found.holders[:MOST_HOLDERS], names)}.", width, INDENT
        )
    yield from paragraph(what_helps(found, names), width)


def what_helps(found: Answer, names: Names) -> str:
    """Say what would make it fit; nothing where the reason says that."""
    if found.change:
        return f"What would help: {words.change(found.change, names)}."
    if found.instead:
        choice = found.instead
        where = words.placed(choice.settings, choice.placement, choice.candidate, names)
        return (
            f"What would fit: {where}, with {words.context(choice.context_tokens)} "
            "(that is chosen where -ngl, -ncmoe, -dev, -ts and --outputs are left out)."
        )
    if found.undecided or found.why in (Why.RUNNER, Why.HOST_UNKNOWN):
        return ""
    return "No single change of those that were tried would help."


def reason(found: Answer, names: Names) -> str:
    """Return why it does not fit, in a few words."""
    if found.why is Why.RUNNER:
        return f"{RUNNERS[found.runner]} does not load it so: {found.text}"
    if found.why is Why.NO_DEVICE:
        return f"there is no device that {RUNNERS[found.runner]} can use"
    if found.why is Why.HOST_UNKNOWN:
        return "it would need the host's memory, and nobody tells how much of it is free"
    missing = [
        f"{format_bytes(use.missing_bytes)} are missing on {words.room_name(use.room, names)}"
        for use in found.uses
        if use.missing_bytes
    ]
    if missing:
        return " and ".join(missing)
    places = words.listed([names.in_text_in_full(place) for place in found.undecided])
    return f"nobody tells what is free on {places}" if places else "there is no room for it"


def short_of(use: RoomUse, names: Names) -> str:
    """Return what one place lacks."""
    free, keep = use.room.free_bytes or 0, use.room.keep_bytes
    where = ", ".join(names.in_full(place) for place in use.room.places)
    return (
        f"{where}: {words.size(use.needed)} needed, {format_bytes(free)} free, "
        f"of which {format_bytes(keep)} are to stay free."
    )


def starting(found: Answer, start: Start | None, width: int) -> Iterator[str]:
    """Say how to run it."""
    if start is None:
        return
    whole = ", once its file is whole" if found.subject.missing_bytes else ""
    yield f"To run it{', in Python' if start.is_python else ''}{whole}:"
    yield from start_lines(start, width)


def start_lines(start: Start, width: int) -> Iterator[str]:
    """Give what is to be done, each line that is to be copied in one piece."""
    for each in start.before:
        yield from paragraph(f"{printable(each)}.", width, INDENT)
    yield from (INDENT + printable(line) for line in start.lines)


def needs(found: Answer, names: Names) -> Iterator[str]:
    """Give what it needs, by part and place."""
    need = found.need
    if need is None or found.settings is None:
        return
    taken = {item.place for item in need.items}
    places = [device.uid for device in found.settings.devices if device.uid in taken]
    places += [HOST] if HOST in taken else []
    rows = [["what it needs", *(names.of(place) for place in places)]]
    for part in Part:
        amounts = [need_at(need, part, place) for place in places]
        if any(each.high_bytes for each in amounts):
            rows.append([PARTS[part], *map(known_size, amounts)])
    totals = [need.at(place) for place in places]
    rows.append(["in all", *(format_bytes(each.bytes) for each in totals)])
    if not all(each.exact for each in totals):
        rows.append(["at most", *(format_bytes(each.high_bytes) for each in totals)])
    yield from aligned([*rows, *rooms(found, places)])


def need_at(need: MemoryNeed, part: Part, place: str) -> Amount:
    """Return what one part takes in one place."""
    return add(item.amount for item in need.items if item.part is part and item.place == place)


def known_size(amount: Amount) -> str:
    """Return what is expected; nothing where nothing can be."""
    return format_bytes(amount.bytes) if amount.high_bytes else ""


def rooms(found: Answer, places: Sequence[str]) -> Iterator[list[str]]:
    """Give what is free in each place, before and after."""
    if found.fits is None:
        return
    uses = [use_at(found, place) for place in places]
    yield ["free now", *(free_words(use.room.free_bytes if use else None) for use in uses)]
    if found.fits:
        left = [found.left_bytes(use) if use else None for use in uses]
        yield ["free afterwards", *map(free_words, left)]
    yield ["to stay free", *(format_bytes(use.room.keep_bytes) if use else "" for use in uses)]


def use_at(found: Answer, place: str) -> RoomUse | None:
    """Return the use of a place's own room."""
    uses = [use for use in found.uses if place in use.room.places]
    return min(uses, key=lambda use: len(use.room.places), default=None)


def free_words(size: int | None) -> str:
    """Return what is free, in words."""
    return "not known" if size is None else format_bytes(max(size, 0))


def grid(cells: Sequence[Cell], found: Answer, width: int) -> Iterator[str]:
    """Give the table of contexts by types of cache, where it tells something."""
    if not has_cache(found) or all(cell.refusal for cell in cells):
        return
    kinds = list(dict.fromkeys(cell.cache_type for cell in cells))
    contexts = list(dict.fromkeys(cell.context_tokens for cell in cells))
    told = {(cell.context_tokens, cell.cache_type): cell_words(cell, found) for cell in cells}
    head = ["context", *(f"cache in {kind}" for kind in kinds)]
    rows = [[f"{each:,}", *(told[each, kind] for kind in kinds)] for each in contexts]
    slots = (found.settings.sequences if found.settings else None) or 1
    which = "context of a slot" if slots > 1 else "context"
    caption = f"What is left, or missing, by {which} and by the type that the cache is kept in"
    if any("on CPU" in each for each in told.values()):
        caption += " (on CPU: layers, or their experts, that stay on the processor)"
    yield from paragraph(f"{caption}:", width)
    yield from aligned([head, *rows], left=0)


def has_cache(found: Answer) -> bool:
    """Tell whether what it takes grows with the context: a recurrent state does not."""
    return found.need is not None and any(item.part is Part.KV_CACHE for item in found.need.items)


def cell_words(cell: Cell, found: Answer) -> str:
    """Return one cell."""
    if not cell.fits or cell.settings is None:
        return cell_refusal(cell, found)
    settings, blocks = cell.settings, found.candidate.blocks
    left = "fits" if cell.left_bytes is None else f"{format_bytes(cell.left_bytes)} left"
    if not settings.devices or not settings.device_layers:
        return f"CPU, {left}"
    if settings.host_expert_layers:
        return f"experts of {min(settings.host_expert_layers, blocks)} on CPU"
    if settings.device_layers <= blocks:
        return f"{blocks + 1 - settings.device_layers} of {blocks + 1} on CPU"
    return left


def cell_refusal(cell: Cell, found: Answer) -> str:
    """Return one cell of what does not fit, or is not known to."""
    if cell.refusal:
        return "not possible"
    if cell.missing_bytes:
        return f"no, {format_bytes(cell.missing_bytes)} short"
    return "not known" if found.undecided else "no"
