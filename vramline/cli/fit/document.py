"""The answers as documents for a program: ``docs/fit.md`` explains every name."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from vramline.cli.fit.answer import Answer
from vramline.cli.fit.command import Start
from vramline.cli.fit.grid import Cell
from vramline.cli.fit.here import Here
from vramline.cli.fit.subject import Subject
from vramline.fit.amounts import Amount, Item
from vramline.fit.learned import Learned
from vramline.fit.need import MemoryNeed
from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.plan.rooms import Room, Unused
from vramline.fit.plan.speed import Speed
from vramline.fit.plan.values import Change, Choice, Holder
from vramline.fit.settings import Effect, Runner
from vramline.runners import InstalledRunner, SecondOpinion

FORMAT = 1
"""The version of the layout that ``--json`` prints."""

Document = dict[str, Any]


def answer_document(
    found: Answer,
    here: Here,
    *,
    start: Start | None,
    cells: Sequence[Cell],
    opinion: SecondOpinion | None,
    notes: Sequence[str],
) -> Document:
    """Return the whole answer to ``vramline fit``."""
    return {
        "format": FORMAT,
        "model": model_document(found.subject),
        "runner": runner_document(found.runner, here.runners.get(found.runner)),
        "fits": found.fits,
        "planned": found.planned,
        "placement": found.placement,
        "context_tokens": found.context_tokens or None,
        "settings": plain(found.settings),
        "effect": effect_document(found.effect),
        "need": need_document(found.need, exact=found.exact),
        "rooms": room_documents(found, found.rooms),
        "unused": [unused_document(each) for each in found.unused],
        "unchecked": list(found.unchecked),
        "disk_bytes": found.disk_bytes,
        "speed": speed_document(found.speed if found.subject.makes_text else None),
        "start": start_document(start),
        "refusal": refusal_document(found),
        "table": [cell_document(cell) for cell in cells],
        "loaded": [loaded_document(each) for each in here.loaded.models],
        "not_asked": dict(here.loaded.failures),
        "second_opinion": plain(opinion),
        "notes": list(notes),
    }


def model_document(subject: Subject) -> Document:
    """Return which model it is."""
    return {
        "name": subject.name,
        "path": subject.path,
        "source": subject.source,
        "file_format": subject.format,
        "architecture": subject.architecture,
        "quantisation": subject.quantisation,
        "parameters": subject.parameters,
        "trained_tokens": subject.trained_tokens,
        "file_bytes": subject.file_bytes,
        "missing_bytes": subject.missing_bytes,
        "projector_path": subject.projector_path,
        "projector_bytes": subject.projector_bytes,
    }


def runner_document(runner: Runner, installed: InstalledRunner | None) -> Document:
    """Return what loads it."""
    return {
        "name": runner,
        "installed": installed is not None,
        "path": installed.path if installed else None,
        "version": installed.version if installed else None,
        "backends": plain(installed.backends) if installed else None,
    }


def effect_document(effect: Effect | None) -> Document | None:
    """Return what came of the settings."""
    return None if effect is None else {**plain(effect), "context_tokens": effect.context_tokens}


def need_document(need: MemoryNeed | None, *, exact: bool) -> Document | None:
    """Return what it needs."""
    if need is None:
        return None
    places = dict.fromkeys(item.place for item in need.items)
    return {
        "items": [item_document(item) for item in need.items],
        "places": {place: amount_document(need.at(place)) for place in places},
        "total": amount_document(need.total),
        "replayed": exact,
        "grows": [item_document(item) for item in need.grows],
        "claims": dict(need.claims),
        "file_cache_bytes": need.file_cache_bytes,
        "unsupported": need.unsupported,
        "refusal": need.refusal,
    }


def amount_document(amount: Amount) -> Document:
    """Return so many bytes."""
    return {
        "bytes": amount.bytes,
        "low_bytes": amount.low_bytes,
        "high_bytes": amount.high_bytes,
    }


def item_document(item: Item) -> Document:
    """Return one part in one place."""
    return {
        "part": item.part,
        "place": item.place,
        **amount_document(item.amount),
        "mapped": item.mapped,
        "rule": item.rule,
    }


def room_documents(found: Answer | None, rooms: Iterable[Room]) -> list[Document]:
    """Return what there is, and what is taken of it."""
    by_room = {use.room: use for use in found.uses} if found else {}
    return [
        {
            "places": list(room.places),
            "free_bytes": room.free_bytes,
            "keep_bytes": room.keep_bytes,
            "needed": amount_document(by_room[room].needed) if room in by_room else None,
            "left_bytes": (
                found.left_bytes(by_room[room]) if found and room in by_room else room.free_bytes
            ),
            "missing_bytes": by_room[room].missing_bytes if room in by_room else 0,
        }
        for room in dict.fromkeys((*rooms, *by_room))
    ]


def unused_document(unused: Unused) -> Document:
    """Return a device that is left out."""
    return {"uid": unused.uid, "name": unused.name, "why": unused.why, "cause": unused.cause}


def speed_document(speed: Speed | None) -> Document | None:
    """Return how fast it goes."""
    if speed is None:
        return None
    return {"low_tokens_per_second": speed.low, "high_tokens_per_second": speed.high}


def start_document(start: Start | None) -> Document | None:
    """Return how to run it."""
    if start is None:
        return None
    return {
        "lines": list(start.lines),
        "is_python": start.is_python,
        "arguments": list(start.flags.arguments),
        "environment": dict(start.flags.environment),
        "parameters": dict(start.flags.parameters),
    }


def refusal_document(found: Answer) -> Document | None:
    """Return why it does not fit, and what would help."""
    if found.fits is not False:
        return None
    return {
        "why": found.why,
        "text": found.text,
        "holders": [holder_document(each) for each in found.holders],
        "change": change_document(found.change),
        "instead": choice_document(found.instead),
    }


def holder_document(holder: Holder) -> Document:
    """Return who holds memory."""
    return {
        "kind": holder.kind,
        "name": holder.name,
        "pid": holder.pid,
        "place": holder.place,
        "held_bytes": holder.held_bytes,
        "can_be_unloaded": holder.can_be_unloaded,
    }


def change_document(change: Change | None) -> Document | None:
    """Return what would help."""
    if change is None:
        return None
    return {
        "kind": change.kind,
        "holder": holder_document(change.holder) if change.holder else None,
        "choice": choice_document(change.choice),
    }


def choice_document(choice: Choice | None) -> Document | None:
    """Return one way to run a model."""
    if choice is None:
        return None
    return {
        "model": choice.candidate.name,
        "path": choice.candidate.path,
        "placement": choice.placement,
        "context_tokens": choice.context_tokens,
        "cache_type": choice.cache_type,
        "settings": plain(choice.settings),
        "speed": speed_document(choice.speed),
    }


def cell_document(cell: Cell) -> Document:
    """Return one cell of the table."""
    return {
        "context_tokens": cell.context_tokens,
        "cache_type": cell.cache_type,
        "fits": cell.fits,
        "placement": cell.placement,
        "left_bytes": cell.left_bytes,
        "missing_bytes": cell.missing_bytes,
        "refusal": cell.refusal,
    }


def loaded_document(model: LoadedModel) -> Document:
    """Return a model that is loaded now."""
    return {
        "runner": model.runner,
        "name": model.name,
        "bytes_at": dict(model.bytes_at),
        "total_bytes": model.total_bytes,
        "gpu_bytes": model.gpu_bytes,
        "pid": model.pid,
        "can_be_unloaded": model.can_be_unloaded,
    }


def learned_document(known: Iterable[Learned]) -> Document:
    """Return what was learned on this machine."""
    return {
        "format": FORMAT,
        "learned": [
            {
                "runner": each.runner,
                "backend": each.backend,
                "place": each.place,
                "driver_version": each.driver_version,
                **amount_document(each.amount),
                "times": each.times,
                "last_at": each.last_at.isoformat().replace("+00:00", "Z"),
            }
            for each in known
        ],
    }


def plain(value: Any) -> Any:
    """Return a value as JSON takes it."""
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value
