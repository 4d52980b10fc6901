"""``vramline models``: the models on this disk, which of them fit now, and which one to run."""

import json
import sys
from collections.abc import Iterator

from vramline.cli.fit.command import Start, start_of
from vramline.cli.fit.here import Here, look_around
from vramline.cli.fit.lines import page_width
from vramline.cli.fit.notes import of_the_machine, of_the_runner
from vramline.cli.fit.options import FitOptions
from vramline.cli.fit.subject import library, places
from vramline.cli.fit.words import Names, names_in
from vramline.cli.look import Look, machine_of, told_of
from vramline.cli.models.document import listing_document
from vramline.cli.models.listing import Listing, listing_of
from vramline.cli.models.page import empty_page, page_of
from vramline.cli.options import Options
from vramline.cli.output import emit
from vramline.fit.library import Library, Place
from vramline.fit.plan.flags import device_names
from vramline.fit.settings import HOST

NOTHING_FITS = 1


def run(options: Options, look: Look) -> int:
    """Print the models; return the exit status, 1 where none of them fits."""
    asked = options.fit or FitOptions()
    machine = machine_of(options)
    where = places(asked.folders)
    found = library(where)
    here = look_around(machine, look)
    listing = listing_of(found, here, asked)
    told = told_of(machine)
    text = (
        as_json(listing, found, here, where, told)
        if options.json
        else as_text(listing, found, here, where, told)
    )
    return emit(text) or (0 if listing.best else NOTHING_FITS)


def as_text(
    listing: Listing, found: Library, here: Here, where: tuple[Place, ...], told: str
) -> str:
    """Return the models for a person."""
    names, width = names_in(here.snapshot), page_width()
    if not listing.lines and not listing.broken and not listing.left_out:
        page = "\n".join(empty_page(where, width)) + "\n"
    else:
        page = page_of(
            listing,
            names,
            width,
            start=start_for(listing, here),
            unreadable=found.unreadable,
            notes=list(notes(listing, here, names)),
            is_cut=sys.stdout is not None and sys.stdout.isatty(),  # a program wants whole names
        )
    return f"{told}\n\n{page}" if told else page


def as_json(
    listing: Listing, found: Library, here: Here, where: tuple[Place, ...], told: str
) -> str:
    """Return the models for a program."""
    document = listing_document(
        listing,
        here,
        start=start_for(listing, here),
        places=where,
        unreadable=found.unreadable,
        notes=list(notes(listing, here, names_in(here.snapshot))),
    )
    if told:
        document = {"format": document.pop("format"), "machine": told, **document}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def start_for(listing: Listing, here: Here) -> Start | None:
    """Return how to run the best."""
    best = listing.best
    if best is None or best.choice is None:
        return None
    return start_of(
        best.subject,
        best.choice.settings,
        names=device_names(here.snapshot),
        blocks=best.choice.candidate.blocks,
        projector=None,
    )


def notes(listing: Listing, here: Here, names: Names) -> Iterator[str]:
    """Give what else is worth knowing."""
    if not listing.lines:
        return
    runner = listing.lines[0].runner
    yield from of_the_runner(runner, here, said=False)
    unchecked = [HOST] if here.snapshot.host.memory_available_bytes is None else []
    yield from of_the_machine(listing.unused, unchecked, here, names, runner)
