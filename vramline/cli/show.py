"""``vramline`` and ``vramline --json``: what the machine has, and what of it is free."""

import json

from vramline.cli.look import Look
from vramline.cli.options import Options
from vramline.cli.output import complain, emit
from vramline.machine import LiveMachine


def run(options: Options, look: Look) -> int:
    """Print the machine; return the exit status."""
    machine = LiveMachine(host_root=options.host_root)
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
    return emit(render(look(machine), Console()))
