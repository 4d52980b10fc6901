"""What else has to be said of an answer, a sentence each."""

from collections.abc import Iterator, Sequence

from vramline.cli.fit import words
from vramline.cli.fit.answer import Answer
from vramline.cli.fit.estimating import LOADS_PROJECTORS
from vramline.cli.fit.here import Here
from vramline.cli.fit.options import FitOptions
from vramline.cli.fit.words import RUNNERS, Names
from vramline.cli.words import printable
from vramline.fit.plan.rooms import Unused
from vramline.fit.settings import HOST, Runner
from vramline.units import format_bytes


def notes_of(found: Answer, here: Here, options: FitOptions, names: Names) -> Iterator[str]:
    """Give all that is worth knowing, and nothing that goes without saying."""
    yield from of_the_model(found, options)
    yield from of_the_need(found, names)
    if found.fits is not None:
        yield from of_the_runner(found.runner, here, said=options.runner is not None)
        yield from of_the_machine(found.unused, found.unchecked, here, names, found.runner)


def of_the_model(found: Answer, options: FitOptions) -> Iterator[str]:
    """Say what is the matter with the model."""
    subject = found.subject
    if subject.missing_bytes:
        yield (
            f"The file is not whole: {format_bytes(subject.missing_bytes)} are missing. "
            "It cannot be loaded before they are there."
        )
    if subject.projector_bytes and found.runner in LOADS_PROJECTORS:
        yield f"Its projector ({format_bytes(subject.projector_bytes)}) is counted in."
    elif subject.projector_path and not options.projector:
        yield (
            "It has a projector, for images or sound, which is not counted in: "
            f"--mmproj {printable(subject.projector_path)}"
        )


def of_the_need(found: Answer, names: Names) -> Iterator[str]:
    """Say what the figures leave out."""
    need = found.need
    if need is None:
        return
    if need.unsupported:
        yield f"These are bounds, and wide ones: {need.unsupported}."
    if need.refusal and found.fits is None:
        yield f"{RUNNERS[found.runner]} would not load it so: {need.refusal}."
    growth = need.growth_bytes(HOST)
    if growth:
        yield (
            f"As it is used it may come to take up to {format_bytes(growth)} more on the host, "
            "for earlier prompts (--cache-ram)."
        )
    if found.disk_bytes:
        yield f"{format_bytes(found.disk_bytes)} of the weights would be read from the disk."
    for place, size in need.claims.items():
        yield f"{RUNNERS[found.runner]} takes {format_bytes(size)} of {names.of(place)} as a whole."


def of_the_runner(runner: Runner, here: Here, *, said: bool) -> Iterator[str]:
    """Say whether the runner is here, and what it can use."""
    installed = here.runners.get(runner)
    if installed is None:
        others = ", ".join(RUNNERS[each] for each in here.runners)
        instead = f"; {others} {'is' if len(here.runners) == 1 else 'are'}" if others else ""
        yield (
            f"{RUNNERS[runner]} was not found here{instead}."
            if said or others
            else (f"No program that runs models was found here; this is for {RUNNERS[runner]}.")
        )
    elif installed.backends is None:
        yield f"Which devices {RUNNERS[runner]} here can use is not known: {installed.note}."
    elif not installed.backends and here.snapshot.gpus:
        yield f"{RUNNERS[runner]} here was built for the processor alone: {installed.path}"


def of_the_machine(
    left_out: Sequence[Unused],
    unchecked: Sequence[str],
    here: Here,
    names: Names,
    runner: Runner,
) -> Iterator[str]:
    """Say what of the machine is not counted with."""
    for unused in left_out:
        yield f"{words.left_out(unused, names, runner)}."
    for place in unchecked:
        yield f"What is free on {names.in_full(place)} is not known."
    for model in here.loaded.models:
        size = model.total_bytes or sum(model.bytes_at.values()) or model.gpu_bytes
        much = f", {format_bytes(size)}" if size else ""
        yield (
            f"{RUNNERS[model.runner]} has {printable(model.name)} loaded{much}: "
            "that memory counts as taken."
        )
    for who, why in here.loaded.failures.items():
        yield f"What {printable(who)} has loaded is not known: {printable(why)}."
    if any(each.runner is runner for each in here.learned):
        yield (
            "What the runner itself takes was learned from models loaded here before "
            "(`vramline fit --learned`)."
        )
