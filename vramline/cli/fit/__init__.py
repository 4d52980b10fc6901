"""``vramline fit MODEL``: whether it fits what is free now, what it takes, and how to run it."""

import json
import os
from dataclasses import replace

from vramline.cli.fit.answer import Answer, answer
from vramline.cli.fit.command import Start, start_of
from vramline.cli.fit.document import answer_document
from vramline.cli.fit.grid import grid_of
from vramline.cli.fit.here import look_around, nowhere
from vramline.cli.fit.learned import forget, tell_learned
from vramline.cli.fit.lines import page_width
from vramline.cli.fit.measure import measure
from vramline.cli.fit.notes import notes_of
from vramline.cli.fit.opinion import opinion_note, opinion_on
from vramline.cli.fit.options import FitOptions
from vramline.cli.fit.page import page_of
from vramline.cli.fit.question import Question, question_of
from vramline.cli.fit.subject import Subject, named
from vramline.cli.fit.words import names_in
from vramline.cli.look import Look, machine_of, told_of
from vramline.cli.options import WRONG_USE, Options
from vramline.cli.output import complain, emit
from vramline.cli.words import printable
from vramline.errors import VramlineError
from vramline.fit.plan.flags import device_names

DOES_NOT_FIT = 1


def run(options: Options, look: Look) -> int:
    """Print the answer; return the exit status: 0 it fits, 1 it does not, 2 wrong use."""
    asked = options.fit or FitOptions()
    if asked.forgets is not None:
        return forget(asked.forgets, as_json=options.json)
    if asked.tells_learned:
        return tell_learned(as_json=options.json)
    try:
        return judge(options, asked, look)
    except VramlineError as error:
        complain(printable(str(error)))
        return WRONG_USE


def judge(options: Options, asked: FitOptions, look: Look) -> int:
    """Answer for one model. Raises ``VramlineError`` where it cannot be asked about."""
    subject, others = named(asked.model)
    machine = machine_of(options)
    here = nowhere(machine) if asked.imagined is not None else look_around(machine, look)
    question = question_of(with_projector(subject, asked), tuple(others), here, asked)
    found = answer(question)
    if asked.measures_at is not None:
        return measure(question, found, asked.measures_at, look)
    text = (as_json if options.json else as_text)(question, found, told_of(machine))
    return emit(text) or (DOES_NOT_FIT if found.fits is False else 0)


def with_projector(subject: Subject, asked: FitOptions) -> Subject:
    """Return the model with the projector that was named. Raises ``VramlineError``."""
    if not asked.projector:
        return subject
    try:
        size = os.path.getsize(asked.projector)
    except OSError as error:
        raise VramlineError(f"--mmproj {asked.projector}: {error.strerror}") from error
    return replace(subject, projector_path=asked.projector, projector_bytes=size)


def as_text(question: Question, found: Answer, told: str) -> str:
    """Return the answer for a person."""
    here, width = question.here, page_width()
    names = names_in(here.snapshot)
    notes = list(notes_of(found, here, question.options, names))
    opinion = opinion_on(question, found, by_itself=True)
    if opinion and found.need:
        notes.append(opinion_note(opinion, found.need))
    cells = () if found.fits is None else grid_of(question, found)
    page = page_of(found, names, width, start=start_for(question, found), cells=cells, notes=notes)
    return f"{told}\n\n{page}" if told else page


def as_json(question: Question, found: Answer, told: str) -> str:
    """Return the answer for a program."""
    here = question.here
    document = answer_document(
        found,
        here,
        start=start_for(question, found),
        cells=() if found.fits is None else grid_of(question, found),
        opinion=opinion_on(question, found, by_itself=False),
        notes=list(notes_of(found, here, question.options, names_in(here.snapshot))),
    )
    if told:
        document = {"format": document.pop("format"), "machine": told, **document}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def start_for(question: Question, found: Answer) -> Start | None:
    """Return how to run it, where it fits."""
    if found.settings is None or not found.fits:
        return None
    return start_of(
        found.subject,
        found.settings,
        names=device_names(question.here.snapshot),
        blocks=found.candidate.blocks,
        projector=question.options.projector,
    )
