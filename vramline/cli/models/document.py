"""The models on this disk as a document for a program: ``docs/fit.md`` explains every name."""

from collections.abc import Sequence

from vramline.cli.fit.command import Start
from vramline.cli.fit.document import (
    FORMAT,
    Document,
    choice_document,
    holder_document,
    loaded_document,
    model_document,
    room_documents,
    start_document,
    unused_document,
)
from vramline.cli.fit.here import Here
from vramline.cli.models.listing import Broken, Line, Listing
from vramline.fit.library import Place, UnreadablePlace
from vramline.fit.plan.values import Refusal


def listing_document(
    listing: Listing,
    here: Here,
    *,
    start: Start | None,
    places: Sequence[Place],
    unreadable: Sequence[UnreadablePlace],
    notes: Sequence[str],
) -> Document:
    """Return the whole answer to ``vramline models``."""
    return {
        "format": FORMAT,
        "best": line_document(listing.best) if listing.best else None,
        "start": start_document(start),
        "models": [line_document(line) for line in listing.lines],
        "more": listing.more,
        "better": [better_document(refusal) for refusal in listing.better],
        "left_out": [{"count": count, "why": why} for why, count in listing.left_out.items()],
        "broken": [broken_document(each) for each in listing.broken],
        "rooms": room_documents(None, listing.rooms),
        "unused": [unused_document(each) for each in listing.unused],
        "loaded": [loaded_document(each) for each in here.loaded.models],
        "not_asked": dict(here.loaded.failures),
        "places": [{"source": place.source, "path": place.path} for place in places],
        "unreadable": [
            {"source": each.source, "path": each.path, "reason": each.reason} for each in unreadable
        ],
        "notes": list(notes),
    }


def line_document(line: Line) -> Document:
    """Return one model."""
    return {
        **model_document(line.subject),
        "runner": line.runner,
        "fits": line.choice is not None,
        "choice": choice_document(line.choice),
        "missing_bytes": line.missing_bytes or 0,
    }


def better_document(refusal: Refusal) -> Document:
    """Return a better model that is not run as the best one is."""
    return {
        "name": refusal.candidate.name,
        "path": refusal.candidate.path,
        "missing_bytes": sum(use.missing_bytes for use in refusal.uses),
        "holders": [holder_document(each) for each in refusal.holders],
    }


def broken_document(broken: Broken) -> Document:
    """Return a model that cannot be run."""
    return {
        "name": broken.found.name,
        "path": broken.found.path,
        "source": broken.found.source,
        "problem": broken.why,
    }
