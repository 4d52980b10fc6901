"""What else has to be said of an answer, a sentence each."""

from collections.abc import Iterator, Sequence

from vramline.cli.fit import words
from vramline.cli.fit.answer import Answer
from vramline.cli.fit.command import spelt
from vramline.cli.fit.estimating import LOADS_PROJECTORS
from vramline.cli.fit.here import Here
from vramline.cli.fit.options import FitOptions
from vramline.cli.fit.words import RUNNERS, Names
from vramline.cli.words import printable
from vramline.fit.plan.rooms import Unused
from vramline.fit.settings import HOST, Runner
from vramline.units import MIB, format_bytes


def notes_of(found: Answer, here: Here, options: FitOptions, names: Names) -> Iterator[str]:
    """Give all that is worth knowing, and nothing that goes without saying."""
    yield from of_the_model(found, options)
    yield from of_what_was_said(found, options)
    yield from of_the_need(found, names)
    if found.fits is not None:
        yield from of_the_runner(found.runner, here, said=options.runner is not None)
        yield from of_the_machine(found.unused, found.unchecked, here, names, found.runner)


def of_the_model(found: Answer, options: FitOptions) -> Iterator[str]:
    """Say what is the matter with the model."""
    subject = found.subject
    if subject.projector_bytes and found.runner in LOADS_PROJECTORS:
        yield f"Its projector ({format_bytes(subject.projector_bytes)}) is counted in."
    elif subject.projector_path and not options.projector:
        yield (
            "It has a projector, for images or sound, which is not counted in: "
            f"--mmproj {printable(spelt([subject.projector_path]))}"
        )


def of_what_was_said(found: Answer, options: FitOptions) -> Iterator[str]:
    """Say what was said, and counts for nothing."""
    said, trained = options.said, found.subject.trained_tokens
    asked = said.get("context_tokens", 0) // (said.get("sequences") or 1)
    if found.planned and trained and asked > trained:
        yield (
            f"It was trained on {trained:,} tokens, and no longer context is planned, "
            f"though one of {asked:,} was asked for."
        )
    chosen = options.imagined is None and options.devices is None and not found.planned
    of_layers = said.get("device_layers") or said.get("host_expert_layers")
    if chosen and of_layers and found.settings and not found.settings.devices:
        yield "There is no GPU to count with: what was said of its layers does nothing."


def of_the_need(found: Answer, names: Names) -> Iterator[str]:
    """Say what the figures leave out."""
    need = found.need
    if need is None:
        return
    if need.unsupported:
        yield f"These are bounds, and wide ones: {need.unsupported}."
    if need.refusal and found.fits is None:
        yield f"{RUNNERS[found.runner]} would not load it so: {need.refusal}."
    if growth := need.growth_bytes(HOST):
        yield of_growth(found, growth)
    if found.disk_bytes:
        yield f"{format_bytes(found.disk_bytes)} of the weights would be read from the disk."
    for place, size in need.claims.items():
        yield (
            f"{RUNNERS[found.runner]} takes {format_bytes(size)} of {names.in_text(place)}, "
            "whatever the model needs of it (--gpu-memory-utilization)."
        )


def of_growth(found: Answer, growth_bytes: int) -> str:
    """Say how much more it may come to take, and what keeps that within what will be free."""
    much = format_bytes(growth_bytes)
    told = f"To keep earlier prompts it may come to take up to {much} more on the host"
    if found.runner is not Runner.LLAMA_SERVER:
        return f"{told}."
    uses = (use for use in found.uses if HOST in use.room.places and found.fits)
    for use in uses:
        left = use.left_bytes
        if left is not None and left - use.room.keep_bytes < growth_bytes:
            room = max(left - use.room.keep_bytes, 0)
            return (
                f"{told}, where {format_bytes(left)} will be free: "
                f"--cache-ram {room // MIB} would keep that within bounds."
            )
    return f"{told} (--cache-ram MIB limits that)."


def of_the_runner(runner: Runner, here: Here, *, said: bool) -> Iterator[str]:
    """Say whether the runner is here, and what it can use."""
    installed = here.runners.get(runner)
    if installed is None:
        others = ", ".join(RUNNERS[each] for each in here.runners)
        instead = f"; {others} {'is' if len(here.runners) == 1 else 'are'}" if others else ""
        yield (
            f"{RUNNERS[runner]} was not found here{instead}."
            if said or others
            else "No program that runs models was found here, as llama.cpp, Ollama or LM Studio: "
            f"this is for {RUNNERS[runner]}."
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
        if unused.uid not in unchecked:  # it was named, and is not left out then
            yield words.left_out(unused, names, runner)
    causes = {unused.uid: unused.cause for unused in left_out}
    for place in unchecked:
        yield words.not_known(place, names, causes.get(place))
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
