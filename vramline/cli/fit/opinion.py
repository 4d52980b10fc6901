"""What llama.cpp itself says, where a program of its is installed that can be asked."""

from vramline.cli.fit.answer import Answer
from vramline.cli.fit.question import Question
from vramline.cli.fit.wanted import FOR_GGUF
from vramline.cli.look import as_recorded
from vramline.cli.words import printable
from vramline.fit.amounts import Part
from vramline.fit.library import FileFormat
from vramline.fit.need import MemoryNeed
from vramline.fit.settings import HOST
from vramline.readings import GpuState
from vramline.runners import SecondOpinion, second_opinion
from vramline.units import format_bytes

COMPARED = frozenset((Part.WEIGHTS, Part.KV_CACHE, Part.RECURRENT_STATE, Part.COMPUTE))
"""What it tells too."""

HOST_ROW = "Host"


def opinion_on(question: Question, found: Answer, *, by_itself: bool) -> SecondOpinion | None:
    """Return it, where it was asked for; or *by_itself*, where that wakes no GPU."""
    here, wanted = question.here, question.options.asks_for_opinion
    asleep = any(gpu.state is GpuState.ASLEEP for gpu in here.snapshot.gpus)
    usual = by_itself and not asleep and as_recorded(here.machine) is None
    if not (usual if wanted is None else wanted) or found.settings is None:
        return None
    if question.subject.format is not FileFormat.GGUF or question.runner not in FOR_GGUF:
        return None
    if question.options.imagined is not None:
        return None
    return second_opinion(here.machine, question.subject.path, found.settings)


def opinion_note(opinion: SecondOpinion, need: MemoryNeed) -> str:
    """Return it in a sentence, with what makes it differ."""
    if opinion.failure:
        return f"A second opinion could not be had: {printable(opinion.failure)}."
    own = {
        here: sum(
            item.amount.bytes
            for item in need.items
            if item.part in COMPARED and (item.place == HOST) is here
        )
        for here in (True, False)
    }
    theirs = {
        here: sum(
            place.model_bytes + place.context_bytes + place.compute_bytes
            for place in opinion.places
            if (place.place == HOST_ROW) is here
        )
        for here in (True, False)
    }
    told = [
        f"{format_bytes(theirs[here])} {where} ({format_bytes(own[here])} above)"
        for here, where in ((False, "on devices"), (True, "on the host"))
        if theirs[here] or own[here]
    ]
    said = [f"llama-fit-params says {' and '.join(told)}."]
    if own[True] > theirs[True]:
        said.append("It leaves out weights that are rearranged for the processor.")
    if opinion.differs:
        said.append(f"It could not be told of: {'; '.join(opinion.differs)}.")
    return " ".join(said)
