"""A program of its own that measures once with gpu-tracker, for ``gpu_tracker``.

    python -P -u gpu_tracker_child.py BRAND FOLDER SECONDS

It prints one line of JSON, the figures in gpu-tracker's megabytes, or why there
are none. It lives no longer than its parent, FOLDER or SECONDS, and imports
nothing of vramline, so that it can be run by its path. ``-P`` keeps its
neighbour ``gpu_tracker.py`` from being imported in the library's place, and
``-u`` is for the error of a failed measurement to be seen at once.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time


def main(brand: str, folder: str, seconds: float) -> None:
    """Print one measurement of *brand*, with *folder* for what lies about meanwhile."""
    threading.Thread(target=_end_in_time, args=(folder, seconds), daemon=True).start()
    with os.fdopen(os.dup(1), "w") as answer:
        printed = os.path.join(folder, "printed.txt")
        with open(printed, "wb") as file:
            os.dup2(file.fileno(), 1)
        answer.write(json.dumps(_measure_or_say_why_not(brand, folder, printed)) + "\n")


def _measure_or_say_why_not(brand: str, folder: str, printed: str) -> dict[str, object]:
    try:
        return measure(brand, folder, printed)
    except subprocess.CalledProcessError as error:
        # gpu-tracker has the program's stderr go into its output.
        said = error.output.decode("utf-8", "replace").strip()
        return {"failure": said or f"{error.cmd[0]} ended with status {error.returncode}"}
    except Exception as error:  # noqa: BLE001 - the top of this program
        return {"failure": f"{type(error).__name__}: {error}"}


def measure(brand: str, folder: str, printed: str) -> dict[str, object]:
    """Return what gpu-tracker measures, summed over the GPUs.

    A measurement that fails is tried again without a pause, and leaves zeros
    that look measured. What tells the two apart is the tracking file, which
    has a row only for a measurement that succeeded, and the error that is
    printed where one did not.
    """
    from gpu_tracker import Tracker

    tracking_file = os.path.join(folder, "tracking.csv")
    tracker = Tracker(
        sleep_time=0.2,  # it is stopped in this pause, before a second measurement
        gpu_ram_unit="megabytes",
        disable_logs=True,
        resource_usage_file=os.path.join(folder, "usage.pkl"),
        gpu_brand=brand,
        tracking_file=tracking_file,
        overwrite=True,  # where processes are spawned it trips over its own file without this
    )
    with tracker:
        while not (measured := _holds_a_row(tracking_file)) and not os.path.getsize(printed):
            time.sleep(0.02)
    if not measured:
        with open(printed, encoding="utf-8", errors="replace") as file:
            return {"failure": file.readline().strip()}
    usage = tracker.to_json()
    return {
        "total": float(usage["max_gpu_ram"]["system_capacity"]),
        "used": float(usage["max_gpu_ram"]["system"]),
        "count": int(usage["gpu_utilization"]["system_gpu_count"]),
        "percent": float(usage["gpu_utilization"]["gpu_percentages"]["mean_hardware_percent"]),
    }


def _holds_a_row(tracking_file: str) -> bool:
    try:
        with open(tracking_file, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:  # it is being overwritten
        return False
    # The header of the measurements ends in `timestamp`; constants may stand above it.
    _, _, rest = text.partition("timestamp")
    return rest.count("\n") > 1


def _end_in_time(folder: str, seconds: float) -> None:
    """End this process and all that it started, as soon as nobody waits for it.

    The kernel's own signal at a parent's death (``PR_SET_PDEATHSIG``) comes
    when the parent's *thread* ends, which is too early.
    """
    deadline = time.monotonic() + seconds
    parent = os.getppid()
    while os.getppid() == parent and os.path.isdir(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)
    if sys.platform == "win32":
        command = ["taskkill", "/F", "/T", "/PID", str(os.getpid())]
        subprocess.run(command, capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError):  # not started as the head of a group
            os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":  # where processes are spawned, gpu-tracker's imports this file too
    # Its own process prints an error at once also where it is not a fork of this one.
    os.environ["PYTHONUNBUFFERED"] = "1"
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
