import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.readers.nvidia.machines import machine
from tests.sampler.driver import PATIENT, SHORT, Driver, MakeGuard, fresh, silent
from tests.standin import StandIn, environment, write_script
from vramline.models.resource_monitor import ResourceMonitor
from vramline.sampler.guard import GuardedReader

if sys.platform == "win32":
    pytest.skip("this system has no fork", allow_module_level=True)

CHECKOUT = Path(__file__).resolve().parents[2]
UID = "GPU-00000000-0000-4000-8000-000000000000"


def test_a_forked_child_opens_anew_and_leaves_the_parents_alone(
    driver: Driver, guard_of: MakeGuard
) -> None:
    guard = guard_of(PATIENT)
    guard.read()
    child = os.fork()
    if child == 0:
        report = guard.read()
        whole = fresh(report) == {"a": 0, "b": 0, "c": 0}
        os._exit(0 if whole and driver.opened == 2 and driver.closed == 0 else 1)
    _, status = os.waitpid(child, 0)

    assert status == 0
    assert fresh(guard.read()) == {"a": 0, "b": 0, "c": 0}
    assert driver.opened == 1


def test_a_fork_during_a_hung_call_leaves_the_child_free(
    driver: Driver, guard_of: MakeGuard
) -> None:
    guard = guard_of(SHORT)
    guard.read()
    driver.hang("a")
    guard.read()
    child = os.fork()
    if child == 0:
        driver.let_go("a")
        report = guard.read()
        os._exit(0 if fresh(report) == {"a": 0, "b": 0, "c": 0} else 1)
    _, status = os.waitpid(child, 0)

    assert status == 0


def test_forks_in_the_midst_of_calls_harm_neither_side(nvml: StandIn) -> None:
    nvml.load("mutex\ngpus 4\non * delay_us=300\n")
    monitor = ResourceMonitor(machine=machine())
    used = monitor.get_current_resources()["gpu_used_vram_gb"]
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            monitor.get_current_resources()

    thread = threading.Thread(target=ask)
    thread.start()
    statuses = []
    for _ in range(10):
        child = os.fork()
        if child == 0:
            right = monitor.get_current_resources()["gpu_used_vram_gb"] == used
            os._exit(0 if right else 1)
        statuses.append(os.waitpid(child, 0)[1])
    stop.set()
    thread.join(60)

    assert statuses == [0] * 10
    assert monitor.get_current_resources()["gpu_used_vram_gb"] == used
    monitor.close()


def test_the_interpreter_ends_at_once_during_a_hung_call() -> None:
    program = """
from tests.sampler.driver import Driver, SHORT
from vramline.sampler.guard import GuardedReader
import atexit
driver = Driver()
guard = GuardedReader(driver.open_reader, name="test", deadlines=SHORT)
guard.read()
driver.hang("a")
guard.read()
atexit.register(lambda: print(guard.read().failure))
print("ending")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=CHECKOUT,
        check=True,
    )

    assert ended.stdout.splitlines() == ["ending", silent("a")]
    assert ended.stderr == ""


def test_the_driver_is_let_go_when_the_interpreter_ends() -> None:
    program = """
from tests.sampler.driver import Driver, SHORT, Reader
from vramline.sampler.guard import GuardedReader
driver = Driver()
guard = GuardedReader(driver.open_reader, name="test", deadlines=SHORT)
guard.read()
Reader.close = lambda self: print("closed", flush=True)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=CHECKOUT,
        check=True,
    )

    assert (ended.stdout, ended.stderr) == ("closed\n", "")


PROGRAM = """
import json, sys
from vramline import Sampler
sampler = Sampler()
print(json.dumps(sampler.snapshot().to_dict()), flush=True)
"""


def run(program: str, library: Path, script: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**environment(library, script), "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_program_ends_at_once_while_a_call_hangs(standin_library: Path, tmp_path: Path) -> None:
    script = write_script(
        tmp_path / "script.txt", "gpus 2\non nvmlDeviceGetPowerUsage gpu=0 hang after=1\n"
    )
    program = f"{PROGRAM}\nprint(sampler.snapshot().failures)\nsampler.snapshot()\n"

    with run(program, standin_library, script) as process:
        output, errors = process.communicate(timeout=30)

    assert process.returncode == 0
    assert output.splitlines()[1] == f"{{'nvidia': 'no answer from {UID} within 0.5 s'}}"
    assert errors == ""


def test_ctrl_c_ends_a_program_that_waits_for_a_driver(
    standin_library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    os.mkfifo(log)
    script = write_script(tmp_path / "script.txt", f"log {log}\non nvmlInit hang\n")

    with run(PROGRAM, standin_library, script) as process:
        with log.open() as calls:
            assert calls.readline().startswith("nvmlInit")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=5)

    assert process.returncode == -signal.SIGINT
    assert errors.splitlines()[-1] == "KeyboardInterrupt"


def test_nvml_is_shut_when_a_program_ends(standin_library: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    script = write_script(tmp_path / "script.txt", f"log {log}\n")

    with run(PROGRAM, standin_library, script) as process:
        output, errors = process.communicate(timeout=30)

    calls = [line.split()[0] for line in log.read_text().splitlines()]
    assert errors == ""
    assert json.loads(output)["gpus"][0]["index"] == 0
    assert (calls.count("nvmlInit"), calls[-1]) == (1, "nvmlShutdown")


def fork_and_wait(times: int) -> None:
    for _ in range(times):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


def test_two_threads_may_fork_at_once() -> None:
    guards = [
        GuardedReader(Driver().open_reader, name=f"fork {number}", deadlines=SHORT)
        for number in range(3)
    ]
    stop = threading.Event()

    def ask(guard: GuardedReader) -> None:
        while not stop.is_set():
            guard.read()

    asking = [threading.Thread(target=ask, args=(guard,)) for guard in guards]
    forking = [threading.Thread(target=fork_and_wait, args=(25,)) for _ in range(4)]
    for thread in (*asking, *forking):
        thread.start()
    for thread in forking:
        thread.join(60)
    stop.set()
    for thread in asking:
        thread.join(60)

    assert not any(thread.is_alive() for thread in (*asking, *forking))
    assert [len(fresh(guard.read())) for guard in guards] == [3, 3, 3]
    for guard in guards:
        guard.close()
