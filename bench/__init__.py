"""Measures what vramline costs, beside a bare loop and other tools.

From a checkout, with a C compiler:

    pip install -e '.[bench]'
    python -m bench                       # every part, about twenty-five minutes
    python -m bench overhead beside       # some of them
    python -m bench --quick               # small sizes, to see that it works
    python -m bench --write-docs          # and put the tables into docs/performance.md

No GPU is needed: the driver is the stand-in of ``tests/standin``, loaded by the real
``pynvml`` in every program that is measured. Peers that are not installed are left out.
It needs Linux.

Each subject runs in a process of its own, as some of them patch ``pynvml``. The parent has
them take turns, round after round, and a ratio is always of two figures of one round, so that
a busy machine slows both sides. Cost is the processor time of all threads of the process.
"""
