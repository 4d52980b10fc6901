"""The scripts of the stand-in driver that subjects are measured over."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

AT_ONCE = "driver answers at once"
DRIVERS_TIME = "driver works"

# The calls that every tool makes, with what a driver takes for them. Power is two of
# them, for what is drawn and for the limit.
_DRIVERS_TIME = """
on nvmlDeviceGetMemoryInfo* delay_us=20 busy
on nvmlDeviceGetUtilizationRates delay_us=100 busy
on nvmlDeviceGetTemperature* delay_us=10 busy
on nvmlDeviceGetPowerUsage delay_us=50 busy
on nvmlDeviceGetEnforcedPowerLimit delay_us=50 busy
"""

_RULES = {AT_ONCE: "", DRIVERS_TIME: _DRIVERS_TIME}


def script(gpus: int, timing: str = AT_ONCE, *, pids: Sequence[int] = ()) -> str:
    """Return the script of that many GPUs, which answer in that *timing*.

    Each of the processes *pids* holds memory on the GPU of its number.
    """
    holders = (
        f"gpu {number} process compute pid={pid} memory=1073741824\n"
        for number, pid in enumerate(pids[:gpus])
    )
    return f"gpus {gpus}\n{''.join(holders)}{_RULES[timing]}"


@contextmanager
def holders(count: int) -> Iterator[list[int]]:
    """Give the pids of that many processes, to hold memory as a program on several GPUs does."""
    command = [sys.executable, "-c", "input()"]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(count)]
    yield [process.pid for process in processes]
    for process in processes:
        process.communicate(b"\n")


def case(gpus: int, timing: str, *, idle: bool = False) -> str:
    """Return how tables name it."""
    return f"{gpus} {'idle ' if idle else ''}GPU{'s' if gpus > 1 else ''}, {timing}"
