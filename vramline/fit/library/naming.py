"""Finding the model that a user means."""

import os
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from vramline.errors import ModelNameError
from vramline.fit.header_file import shown
from vramline.fit.library.found import FoundModel

SHOWN_MOST = 5


def find_model(models: Sequence[FoundModel], name: str) -> FoundModel:
    """Return the model that *name* means: its path, its name, the file's, or part of one.

    Names are told apart as the programs that own them do: without regard to case, where that
    leaves one, and with ``:latest`` where Ollama's has no tag. ``repository:Q4_K_M`` is one of
    its quantisations.

    Raises ``ModelNameError``.
    """
    wanted = name.strip()
    for fits in RULES if wanted else ():
        found = [model for model in models if fits(model, wanted)]
        found = [model for model in found if not model.problem] or found
        if len(found) == 1:
            return found[0]
        if found:
            raise _ambiguous(name, found)
    raise _unknown(models, name)


def _is_exactly(model: FoundModel, wanted: str) -> bool:
    path = os.path.abspath(wanted)
    return wanted in (model.name, *model.other_names) or path in (model.path, *model.paths)


def _is_path(model: FoundModel, wanted: str) -> bool:
    path = os.path.abspath(wanted).casefold()
    return any(path == each.casefold() for each in (model.path, *model.paths))


def _is_name(model: FoundModel, wanted: str) -> bool:
    return wanted.casefold() in _names(model)


def _is_latest(model: FoundModel, wanted: str) -> bool:
    return _is_name(model, f"{wanted}:latest")


def _is_quantisation(model: FoundModel, wanted: str) -> bool:
    name, _, label = wanted.casefold().rpartition(":")
    if not name or (model.quantisation or "").casefold() != label:
        return False
    return any(_has_parts(each, name) for each in _names(model))


def _is_part(model: FoundModel, wanted: str) -> bool:
    return any(_has_parts(each, wanted.casefold()) for each in _names(model))


def _is_file(model: FoundModel, wanted: str) -> bool:
    names = [os.path.basename(path).casefold() for path in (model.path, *model.paths)]
    return any(wanted.casefold() in (each, each.rpartition(".")[0]) for each in names)


def _is_within(model: FoundModel, wanted: str) -> bool:
    return any(wanted.casefold() in each for each in _names(model))


RULES: Sequence[Callable[[FoundModel, str], bool]] = (
    _is_exactly,
    _is_path,
    _is_name,
    _is_latest,
    _is_quantisation,
    _is_part,
    _is_file,
    _is_within,
)
"""The first that any model meets decides."""


def _names(model: FoundModel) -> list[str]:
    return [each.casefold() for each in (model.name, *model.other_names)]


def _has_parts(name: str, wanted: str) -> bool:
    """Tell whether *wanted* is whole parts of the name, between slashes and the tag's colon."""
    return f"/{wanted}/" in f"/{name.replace(':', '/')}/"


def _ambiguous(name: str, found: Sequence[FoundModel]) -> ModelNameError:
    matches = tuple(model.name for model in found)
    more = f", and {len(matches) - SHOWN_MOST} more" if len(matches) > SHOWN_MOST else ""
    return ModelNameError(
        f"{shown(name)} may mean {len(matches)} models here: {', '.join(matches[:SHOWN_MOST])}"
        f"{more}. Give more of the name, or the path.",
        matches,
    )


def _unknown(models: Sequence[FoundModel], name: str) -> ModelNameError:
    by_name = {each: model.name for model in models for each in _names(model)}
    for model in models:
        by_name.setdefault(model.name.casefold().rpartition("/")[2], model.name)
    near = get_close_matches(name.casefold(), by_name, n=SHOWN_MOST, cutoff=0.5)
    matches = tuple(dict.fromkeys(by_name[each] for each in near))
    if matches:
        advice = f"Near it are {', '.join(matches)}."
    elif models:
        advice = "vramline models lists those that there are."
    else:
        advice = "No models were found at all: give the path of the model's file."
    return ModelNameError(f"there is no model {shown(name)} here. {advice}", matches)
