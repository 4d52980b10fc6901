"""``vramline fit --learned`` and ``--forget``: what loading models took on this machine."""

import json

from vramline.cli.fit.document import FORMAT, learned_document
from vramline.cli.fit.lessons import forget_learned, learned_store, read_learned
from vramline.cli.fit.lines import aligned
from vramline.cli.fit.words import RUNNERS, count, size
from vramline.cli.output import complain, emit
from vramline.cli.words import printable
from vramline.fit.settings import Runner


def tell_learned(*, as_json: bool) -> int:
    """Print what was learned; return the exit status."""
    known = read_learned(learned_store())
    if as_json:
        return emit(json.dumps(learned_document(known), indent=2) + "\n")
    if not known:
        return emit("Nothing was learned on this machine yet.\n")
    rows = [["runner", "place", "through", "takes beside the model", "loads", "last"]]
    rows += [
        [
            RUNNERS[each.runner],
            printable(each.place),
            each.backend or "",
            size(each.amount),
            f"{each.times}",
            f"{each.last_at:%Y-%m-%d}",
        ]
        for each in known
    ]
    return emit("\n".join(aligned(rows, left=3)) + "\n")


def forget(which: str, *, as_json: bool) -> int:
    """Forget it, of one runner or of all; return the exit status."""
    runner = None if which == "all" else Runner(which)
    number, is_gone = forget_learned(learned_store(), runner)
    if not is_gone:
        complain("what was learned could not be deleted")
        return 1
    if as_json:
        return emit(json.dumps({"format": FORMAT, "forgotten": number}, indent=2) + "\n")
    return emit(f"Forgot {count(number, 'figure')}.\n" if number else "There was nothing.\n")
