"""``vramline`` and ``vramline --json``: what the machine has, and what of it is free."""

import json

from vramline.cli.look import Look, machine_of, told_of
from vramline.cli.options import Options
from vramline.cli.output import complain, emit


def run(options: Options, look: Look) -> int:
    """Print the machine; return the exit status."""
    machine = machine_of(options)
    if options.json:
        return emit(json.dumps(look(machine).to_dict(), indent=2, allow_nan=False) + "\n")
    try:
        from rich.console import Console

        from vramline.cli.table import render
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] != "rich":
            raise
        complain("the table needs rich: pip install 'vramline[cli]' (--json does without)")
        return 1
    page = render(look(machine), Console())
    told = told_of(machine)
    return emit(f"{told}\n\n{page}" if told else page)
