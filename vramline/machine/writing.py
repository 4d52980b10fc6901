"""From what was captured to a recording, as ``vramline.machine.recording`` reads it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vramline.machine.captured import Traits
from vramline.machine.journal import Question, Told
from vramline.machine.masking import Masks
from vramline.machine.recording import FORMAT
from vramline.machine.reducing import ids_in, reduced
from vramline.machine.sections import By, Sections, account, answers_in, is_person

PAGE = 100
"""What fits into so many characters stands on one line."""

_SELECTS_GPUS = re.compile(
    r"\w*(?:VISIBLE_DEVICES|DEVICE_ORDER|DEVICE_ORDINAL|DRIVER_CAPABILITIES|AFFINITY_MASK"
    r"|DEVICE_SELECTOR|DEVICE_HIERARCHY|GFX_VERSION)"
)
_FOLDERS = frozenset(("HOME", "LOCALAPPDATA", "USERPROFILE"))
"""In which runners are looked for."""
_SERVER = "OLLAMA_HOST"
_LOOPBACK = re.compile(
    r"(?:http://)?(?:127\.0\.0\.1|0\.0\.0\.0|localhost|\[?::1?\]?)?(?::\d{1,5})?/?"
)
"""What is kept of that: each machine has these addresses."""
WITHHELD = "(set)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a recording tells of itself.

    Attributes:
        version: Of vramline.
        versions: Of the Python distributions that were asked for.
        interrupted: Whether it was ended before all was asked.
    """

    version: str
    taken_at: datetime
    took_seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    interrupted: bool = False


def compose(
    header: Header,
    masks: Masks,
    *,
    platform: str,
    process: str,
    environ: Mapping[str, str],
    told: Mapping[Question, By],
    libraries: Mapping[str, Traits],
) -> dict[str, Any]:
    """Return the recording. Nothing is in it that *masks* should have masked."""
    kept, trimmed = _reduce(told, masks)
    _learn(masks, platform, environ, kept, libraries)
    sections = Sections(masks, platform)
    for question, by in kept.items():
        sections.add(question, by)
    for name, traits in libraries.items():
        sections.add_traits(name, traits)
    written = sections.to_dict()
    asked = {name: _value(masks, name, value) for name, value in environ.items()}
    cut = {masks.text(path): what for path, what in trimmed.items()}
    recording = {
        "format": FORMAT,
        "vramline": header.version,
        "taken_at": header.taken_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "took_seconds": round(header.took_seconds, 3),
        "interrupted": header.interrupted,
        "platform": platform,
        "process": process if process != "self" else "",
        "masked": masks.told(),
        "trimmed": cut,
        "environ": asked,
        "versions": dict(header.versions),
        **written,
    }
    return {name: each for name, each in recording.items() if each}


def to_text(recording: Mapping[str, Any]) -> str:
    """Return a recording as its file has it: JSON, with what is short on one line."""
    return "\n".join(_lines(recording, "")) + "\n"


def _lines(value: Any, indent: str, before: str = "", after: str = "") -> Iterator[str]:
    text = json.dumps(value, allow_nan=False)
    whole = f"{indent}{before}{text}{after}"
    if not isinstance(value, dict) or not value or (indent and len(whole) <= PAGE):
        yield whole
        return
    yield f"{indent}{before}{{"
    for place, (key, each) in enumerate(value.items(), 1):
        comma = "," if place < len(value) else ""
        yield from _lines(each, f"{indent}  ", f"{json.dumps(key)}: ", comma)
    yield f"{indent}}}{after}"


def _reduce(told: Mapping[Question, By], masks: Masks) -> tuple[dict[Question, By], dict[str, str]]:
    """Return what is kept, and what is to be said of it. *masks* learn from what is left out."""
    ids: set[str] | None = None

    def known_ids() -> set[str]:
        nonlocal ids
        if ids is None:
            ids = ids_in(_texts_of_sysfs(told))
        return ids

    kept: dict[Question, By] = {}
    trimmed: dict[str, str] = {}
    for question, by in told.items():
        name = question[3] if question[0] == "call" else str(question[1])
        kept[question] = {asker: [] for asker in by}
        for asker, row in by.items():
            for each in row:
                answer, what = reduced(question[0], name, each.answer, known_ids)
                kept[question][asker].append(Told(answer, each.at))
                if what:
                    trimmed[name] = what
                elif answer is not each.answer:
                    masks.learn_value(each.answer)
    return kept, trimmed


def _texts_of_sysfs(told: Mapping[Question, By]) -> Iterator[str]:
    for question, by in told.items():
        if question[0] == "read" and question[1].startswith("/sys/"):
            for each in answers_in(by):
                if isinstance(each, str) and len(each) < 4096:
                    yield each


def _learn(
    masks: Masks,
    platform: str,
    environ: Mapping[str, str],
    told: Mapping[Question, By],
    libraries: Mapping[str, Traits],
) -> None:
    for name, value in environ.items():
        if _SELECTS_GPUS.fullmatch(name):
            masks.learn_text(value)
    for (kind, *asked), by in told.items():
        masks.learn_value([each for each in asked if isinstance(each, str | bytes)])
        for answer in answers_in(by):
            if kind == "user":
                if is_person(platform, asked[0]):
                    masks.learn_name("user", str(answer))
            elif kind == "call" and asked[2] == "username" and isinstance(answer, str):
                account(masks, answer)
            elif kind == "read" and isinstance(asked[0], str):
                masks.learn_value(answer, asked[0].rpartition("/")[2])
            else:
                masks.learn_value(answer, asked[2] if kind == "call" else "")
    for traits in libraries.values():
        masks.learn_value(traits.constants)


def _value(masks: Masks, name: str, value: str) -> str:
    if _SELECTS_GPUS.fullmatch(name):
        return masks.text(value, selects=True)
    if name == _SERVER and _LOOPBACK.fullmatch(value):
        return value
    return masks.text(value) if name in _FOLDERS else WITHHELD
