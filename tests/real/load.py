"""Load one model with llama-cpp-python and tell what the process takes: a child's program.

Started with a file and ``Llama``'s arguments as JSON. What llama.cpp logs goes to stderr.
"""

import importlib
import json
import os
import sys
from typing import Any

import psutil


def main() -> None:
    """Load it, compute, and print what this process then holds."""
    path, arguments = sys.argv[1], json.loads(sys.argv[2])
    library = importlib.import_module("llama_cpp")
    # One thread: beside other work on the machine, threads that wait for each other take minutes.
    model = library.Llama(path, verbose=True, n_threads=1, n_threads_batch=1, **arguments)
    rows = fill(model)
    computed = psutil.Process().memory_info().rss
    figures = {"rows": rows, "computed": computed}
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()
    sys.stderr.flush()
    # The library's own end is not what is asked about.
    os._exit(0)


def fill(model: Any) -> int:
    """Compute with a prompt as long as the context, and ask for as many logits as there may be.

    Returns how many tokens asked. ``eval`` alone asks for the last one's, and leaves most of
    what was reserved untouched.
    """
    cells: int = model.n_ctx()
    rows = min(int(model.n_batch), cells)
    tokens = [3 + number % 256 for number in range(cells)]
    model.eval(tokens[:-rows])
    batch = model._batch
    batch.set_batch(batch=tokens[-rows:], n_past=cells - rows, logits_all=True)
    model._ctx.decode(batch)
    return rows


if __name__ == "__main__":
    main()
