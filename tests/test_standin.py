import ctypes
import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

import pynvml
import pytest

from tests.standin import (
    SOURCES,
    StandIn,
    build,
    environment,
    run_python,
    write_script,
)

MACHINES = SOURCES / "machines"
NAME_OF_GPU_0 = "import pynvml as n; n.nvmlInit(); h = n.nvmlDeviceGetHandleByIndex(0); "


def gpu(index: int) -> Any:
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name, *_ in struct._fields_}


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the call gives, or the number of its error."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        return error.value


def in_thread(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    future: Future[Any] = Future()

    def answer() -> None:
        future.set_result(outcome(function, *arguments))

    Thread(target=answer, daemon=True).start()
    return future


def test_after_a_reset_it_is_as_if_there_were_no_library(nvml: StandIn) -> None:
    nvml.reset(pynvml)

    with pytest.raises(pynvml.NVMLError_LibraryNotFound):
        pynvml.nvmlInit()

    assert nvml.initialised == 0


def test_values_come_through_the_real_pynvml(nvml: StandIn) -> None:
    nvml.load(
        "gpus 2\n"
        "driver_version 570.10\n"
        "gpu * memory_total 1000\n"
        "gpu 1 name NVIDIA H100 80GB HBM3  # with spaces\n"
        "gpu 1 memory_used 300\n"
        "gpu 1 memory_reserved 50\n"
        "gpu 1 utilization 75\n"
    )
    pynvml.nvmlInit()
    handle = gpu(1)

    assert pynvml.nvmlSystemGetDriverVersion() == "570.10"
    assert pynvml.nvmlSystemGetCudaDriverVersion_v2() == 13000
    assert pynvml.nvmlDeviceGetCount() == 2
    assert pynvml.nvmlDeviceGetName(handle) == "NVIDIA H100 80GB HBM3"
    assert fields(pynvml.nvmlDeviceGetUtilizationRates(handle)) == {"gpu": 75, "memory": 10}
    assert fields(pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2)) == {
        "version": pynvml.nvmlMemory_v2,
        "total": 1000,
        "reserved": 50,
        "used": 300,
        "free": 650,
    }


def test_the_old_memory_function_counts_the_reserve_as_used(nvml: StandIn) -> None:
    nvml.load("gpu 0 memory_total 1000\ngpu 0 memory_used 300\ngpu 0 memory_reserved 50\n")
    pynvml.nvmlInit()

    memory = pynvml.nvmlDeviceGetMemoryInfo(gpu(0))

    assert fields(memory) == {"total": 1000, "free": 650, "used": 350}


def test_every_gpu_has_an_address_of_its_own(nvml: StandIn) -> None:
    pynvml.nvmlInit()

    addresses = [pynvml.nvmlDeviceGetPciInfo(gpu(index)).busId for index in range(2)]
    by_address = pynvml.nvmlDeviceGetHandleByPciBusId("0000:02:00.0")
    by_uuid = pynvml.nvmlDeviceGetHandleByUUID(pynvml.nvmlDeviceGetUUID(gpu(1)))

    assert addresses == ["00000000:01:00.0", "00000000:02:00.0"]
    assert pynvml.nvmlDeviceGetIndex(by_address) == 1
    assert pynvml.nvmlDeviceGetIndex(by_uuid) == 1


def test_fields_have_an_error_each(nvml: StandIn) -> None:
    nvml.load("gpu 0 memory_temperature unsupported\ngpu 0 power_instant 81000\n")
    pynvml.nvmlInit()
    asked = [pynvml.NVML_FI_DEV_MEMORY_TEMP, pynvml.NVML_FI_DEV_POWER_INSTANT, 9999]

    answers = pynvml.nvmlDeviceGetFieldValues(gpu(0), asked)

    assert [(answer.nvmlReturn, answer.value.uiVal) for answer in answers] == [
        (pynvml.NVML_ERROR_NOT_SUPPORTED, 0),
        (pynvml.NVML_SUCCESS, 81000),
        (pynvml.NVML_ERROR_NOT_SUPPORTED, 0),
    ]


def test_a_value_can_be_an_error(nvml: StandIn) -> None:
    nvml.load("gpu 0 fan_speed unsupported\ngpu 0 memory_total error:999\n")
    pynvml.nvmlInit()

    assert outcome(pynvml.nvmlDeviceGetFanSpeed, gpu(0)) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert outcome(pynvml.nvmlDeviceGetMemoryInfo, gpu(0)) == pynvml.NVML_ERROR_UNKNOWN


def test_a_value_changes_after_so_many_calls_about_that_gpu(nvml: StandIn) -> None:
    nvml.load("gpus 2\ngpu 0 temperature 40\ngpu 0 temperature 50 after=2\n")
    pynvml.nvmlInit()
    first, second = gpu(0), gpu(1)

    told = [
        [pynvml.nvmlDeviceGetTemperature(handle, 0) for handle in (first, second)] for _ in range(4)
    ]

    assert told == [[40, 45], [40, 45], [50, 45], [50, 45]]


def test_processes_are_told_after_their_number(nvml: StandIn) -> None:
    nvml.load(
        "gpu 0 process compute pid=11 memory=1024\n"
        "gpu 0 process compute pid=12 memory=none\n"
        "gpu 0 process graphics pid=13 memory=5\n"
    )
    pynvml.nvmlInit()

    compute = pynvml.nvmlDeviceGetComputeRunningProcesses(gpu(0))
    graphics = pynvml.nvmlDeviceGetGraphicsRunningProcesses(gpu(0))

    assert [(process.pid, process.usedGpuMemory) for process in compute] == [(11, 1024), (12, None)]
    assert [(process.pid, process.usedGpuMemory) for process in graphics] == [(13, 5)]
    assert pynvml.nvmlDeviceGetMPSComputeRunningProcesses(gpu(0)) == []
    assert nvml.calls("nvmlDeviceGetComputeRunningProcesses_v3") == 2


def test_an_error_comes_at_the_calls_that_the_rule_names(nvml: StandIn) -> None:
    nvml.load("gpus 2\non nvmlDeviceGetPowerUsage gpu=1 error=15 after=2 until=3\n")
    pynvml.nvmlInit()
    healthy, failing = gpu(0), gpu(1)

    told = [outcome(pynvml.nvmlDeviceGetPowerUsage, failing) for _ in range(4)]
    others = [outcome(pynvml.nvmlDeviceGetPowerUsage, healthy) for _ in range(4)]

    assert told == [75000, 75000, pynvml.NVML_ERROR_GPU_IS_LOST, 75000]
    assert others == [75000] * 4


def test_a_rule_for_every_function_takes_in_handles_but_not_shutdown(nvml: StandIn) -> None:
    nvml.load("gpus 2\non * gpu=1 error=15\non nvmlSystem* error=999\n")
    pynvml.nvmlInit()

    assert outcome(gpu, 1) == pynvml.NVML_ERROR_GPU_IS_LOST
    assert outcome(pynvml.nvmlSystemGetDriverVersion) == pynvml.NVML_ERROR_UNKNOWN
    nvml.load("on * error=9\n")
    assert outcome(pynvml.nvmlInit) == pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    assert outcome(pynvml.nvmlShutdown) is None
    assert nvml.initialised == 0


def test_a_driver_of_another_version_refuses_to_start(nvml: StandIn) -> None:
    nvml.load("on nvmlInit error=18\n")

    with pytest.raises(pynvml.NVMLError_LibRmVersionMismatch):
        pynvml.nvmlInit()

    assert (nvml.calls("nvmlInit"), nvml.initialised) == (1, 0)


def test_counts_go_on_over_a_new_session_while_the_script_is_the_same(nvml: StandIn) -> None:
    nvml.load("on nvmlDeviceGetCount_v2 error=9 after=1 until=2\n")

    told = []
    for _ in range(3):
        pynvml.nvmlInit()
        told.append(outcome(pynvml.nvmlDeviceGetCount))
        pynvml.nvmlShutdown()

    assert told == [1, pynvml.NVML_ERROR_DRIVER_NOT_LOADED, 1]
    assert nvml.calls("nvmlInit") == 3


def test_a_delayed_call_gives_its_answer(nvml: StandIn) -> None:
    nvml.load("on nvmlDeviceGetName delay_us=10\non nvmlDeviceGetUUID delay_us=10 busy error=3\n")
    pynvml.nvmlInit()

    assert pynvml.nvmlDeviceGetName(gpu(0)) == "NVIDIA RTX 6000 Ada Generation"
    assert outcome(pynvml.nvmlDeviceGetUUID, gpu(0)) == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_a_hung_call_is_released(nvml: StandIn) -> None:
    nvml.load("gpus 2\non nvmlDeviceGetPowerUsage gpu=1 hang\n")
    pynvml.nvmlInit()
    future = in_thread(pynvml.nvmlDeviceGetPowerUsage, gpu(1))
    nvml.await_hanging()

    other = pynvml.nvmlDeviceGetPowerUsage(gpu(0))
    before_release = future.done()
    nvml.release()

    assert other == 75000
    assert before_release is False
    assert future.result(timeout=30) == 75000
    assert nvml.hanging == 0


def test_a_hung_call_notices_a_changed_file(nvml: StandIn) -> None:
    nvml.load("on nvmlDeviceGetPowerUsage hang\n")
    pynvml.nvmlInit()
    future = in_thread(pynvml.nvmlDeviceGetPowerUsage, gpu(0))
    nvml.await_hanging()

    write_script(nvml.script, "on nvmlDeviceGetPowerUsage error=15\n")

    assert future.result(timeout=30) == pynvml.NVML_ERROR_GPU_IS_LOST


def test_a_hung_call_stays_where_the_new_script_hangs_it_too(nvml: StandIn) -> None:
    nvml.load("on nvmlDeviceGetPowerUsage hang\n")
    pynvml.nvmlInit()
    future = in_thread(pynvml.nvmlDeviceGetPowerUsage, gpu(0))
    nvml.await_hanging()

    nvml.load("gpu 0 power 1\non nvmlDeviceGetPowerUsage hang\n")
    nvml.await_hanging()
    still_hung = not future.done()
    nvml.load("gpu 0 power 2\n")

    assert still_hung
    assert future.result(timeout=30) == 2


def test_with_mutex_other_calls_wait_behind_a_hung_one(nvml: StandIn) -> None:
    nvml.load(
        "mutex\ngpu 0 power 10\ngpu 0 power 90 after=1\non nvmlDeviceGetPowerUsage hang until=1\n"
    )
    pynvml.nvmlInit()
    handle = gpu(0)
    hung = in_thread(pynvml.nvmlDeviceGetPowerUsage, handle)
    nvml.await_hanging()
    behind = in_thread(pynvml.nvmlDeviceGetPowerUsage, handle)
    nvml.await_calls("nvmlDeviceGetPowerUsage", 2)

    nvml.release()

    assert (hung.result(timeout=30), behind.result(timeout=30)) == (10, 90)


def test_without_watch_the_file_is_looked_at_by_nvml_init_alone(nvml: StandIn) -> None:
    nvml.load("gpu 0 power 1\n")
    pynvml.nvmlInit()
    write_script(nvml.script, "gpu 0 power 2000\n")

    before = pynvml.nvmlDeviceGetPowerUsage(gpu(0))
    pynvml.nvmlInit()

    assert (before, pynvml.nvmlDeviceGetPowerUsage(gpu(0))) == (1, 2000)


def test_with_watch_every_call_looks_at_the_file(nvml: StandIn) -> None:
    nvml.load("watch\ngpu 0 power 1\n")
    pynvml.nvmlInit()
    handle = gpu(0)

    write_script(nvml.script, "watch\ngpu 0 power 2000\n")

    assert pynvml.nvmlDeviceGetPowerUsage(handle) == 2000


def test_sessions_are_counted(nvml: StandIn) -> None:
    pynvml.nvmlInit()
    pynvml.nvmlInit()
    handle = gpu(0)
    counts = [nvml.initialised]

    pynvml.nvmlShutdown()
    counts.append(nvml.initialised)
    in_session = outcome(pynvml.nvmlDeviceGetIndex, handle)
    pynvml.nvmlShutdown()
    counts.append(nvml.initialised)

    assert counts == [2, 1, 0]
    assert in_session == 0
    assert outcome(pynvml.nvmlDeviceGetIndex, handle) == pynvml.NVML_ERROR_UNINITIALIZED
    assert outcome(pynvml.nvmlShutdown) == pynvml.NVML_ERROR_UNINITIALIZED


def test_a_handle_does_not_outlive_its_session(nvml: StandIn) -> None:
    pynvml.nvmlInit()
    handle = gpu(0)
    pynvml.nvmlShutdown()
    pynvml.nvmlInit()

    assert outcome(pynvml.nvmlDeviceGetIndex, handle) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_what_is_asked_wrongly_is_refused(nvml: StandIn) -> None:
    pynvml.nvmlInit()
    power = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetPowerUsage")

    assert outcome(gpu, 2) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert power(gpu(0), None) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert power(None, ctypes.byref(ctypes.c_uint())) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert (
        outcome(pynvml.nvmlDeviceGetMemoryInfo, gpu(0), 0x1000028)
        == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    )
    assert outcome(pynvml.nvmlDeviceGetHandleByUUID, "GPU-0") == pynvml.NVML_ERROR_NOT_FOUND


def test_a_list_with_too_little_room_is_told_how_much_it_needs(nvml: StandIn) -> None:
    nvml.load("gpu 0 process compute pid=11\ngpu 0 process compute pid=12\n")
    pynvml.nvmlInit()
    ask = pynvml._nvmlGetFunctionPointer("nvmlDeviceGetComputeRunningProcesses_v3")
    count = ctypes.c_uint(1)
    room = (pynvml.c_nvmlProcessInfo_v3_t * 1)()

    code = ask(gpu(0), ctypes.byref(count), room)

    assert (code, count.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 2)


def test_mig_instances_have_handles_of_their_own(nvml: StandIn) -> None:
    nvml.load((MACHINES / "mig.txt").read_text())
    pynvml.nvmlInit()
    parent = gpu(0)
    instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 1)
    back = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance)

    assert pynvml.nvmlDeviceGetMigMode(parent) == [1, 1]
    assert pynvml.nvmlDeviceGetUUID(instance) == "MIG-00000000-0000-4000-8000-000000000001"
    assert pynvml.nvmlDeviceGetUUID(back) == pynvml.nvmlDeviceGetUUID(parent)
    assert pynvml.nvmlDeviceGetMemoryInfo(instance).used == 2147483648
    assert pynvml.nvmlDeviceGetMemoryInfo(parent).total == 85899345920
    assert pynvml.nvmlDeviceGetTemperature(instance, 0) == 45
    assert pynvml.nvmlDeviceGetGpuInstanceId(instance) == 2


def test_a_gpu_cut_by_mig_tells_no_utilisation_and_all_processes(nvml: StandIn) -> None:
    nvml.load((MACHINES / "mig.txt").read_text())
    pynvml.nvmlInit()
    parent = gpu(0)
    instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 0)

    told = [
        [(process.pid, process.gpuInstanceId) for process in processes]
        for processes in map(pynvml.nvmlDeviceGetComputeRunningProcesses, (parent, instance))
    ]

    assert told == [[(4194401, 1), (4194402, 2)], [(4194401, 1)]]
    assert outcome(pynvml.nvmlDeviceGetUtilizationRates, parent) == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_a_mig_instance_that_is_not_there_is_not_found(nvml: StandIn) -> None:
    nvml.load((MACHINES / "mig.txt").read_text())
    pynvml.nvmlInit()
    by_index = pynvml.nvmlDeviceGetMigDeviceHandleByIndex

    assert outcome(by_index, gpu(0), 2) == pynvml.NVML_ERROR_NOT_FOUND
    assert outcome(by_index, gpu(1), 0) == pynvml.NVML_ERROR_NOT_SUPPORTED


def test_a_rule_about_a_gpu_is_about_its_mig_instances(nvml: StandIn) -> None:
    nvml.load((MACHINES / "mig.txt").read_text() + "on nvmlDeviceGetName gpu=0 error=15\n")
    pynvml.nvmlInit()
    instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu(0), 0)

    assert outcome(pynvml.nvmlDeviceGetName, instance) == pynvml.NVML_ERROR_GPU_IS_LOST
    assert outcome(pynvml.nvmlDeviceGetName, gpu(1)) == "NVIDIA A100-SXM4-80GB"


@pytest.mark.parametrize("machine", sorted(path.name for path in MACHINES.glob("*.txt")))
def test_every_machine_here_is_a_script(nvml: StandIn, machine: str) -> None:
    nvml.load((MACHINES / machine).read_text())
    pynvml.nvmlInit()

    names = [pynvml.nvmlDeviceGetName(gpu(i)) for i in range(pynvml.nvmlDeviceGetCount())]
    assert all(name.startswith("NVIDIA ") for name in names)
    assert names


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("gpu 5 power 1", "no such GPU"),
        ("gpu 0 powr 1", "no such word here"),
        ("gpu 0 power much", "not a value for this key"),
        ("gpu 0 process compute memory=1", "a process needs a pid"),
        ("on nvmlNothing error=1", "a rule needs the name of a function that the stand-in has"),
        ("on nvmlInit", "this rule does nothing: it needs error=, delay_us= or hang"),
        ("on nvmlInit error=1 gpu=7", "no such option of a rule"),
        ("watch this", "nothing may follow here"),
    ],
)
def test_what_no_script_may_say_is_refused(nvml: StandIn, line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"line 2: {problem}: {line}")):
        nvml.load(f"# first\n{line}\n")


def test_another_process_with_a_malformed_script_aborts(
    standin_library: Path, tmp_path: Path
) -> None:
    script = write_script(tmp_path / "script.txt", "gpu 0 powr 1\n")

    result = run_python("import pynvml; pynvml.nvmlInit()", library=standin_library, script=script)

    assert result.returncode == -signal.SIGABRT
    assert result.stderr == (f"stand-in NVML: {script}: line 1: no such word here: gpu 0 powr 1\n")


def test_another_process_finds_the_library_and_its_calls_are_logged(
    standin_library: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    script = write_script(tmp_path / "script.txt", f"log {log}\ngpu 0 name One\n")

    result = run_python(
        NAME_OF_GPU_0 + "import os; print(os.getpid(), n.nvmlDeviceGetName(h))",
        library=standin_library,
        script=script,
    )

    pid, name = result.stdout.split()
    assert name == "One"
    assert log.read_text().splitlines() == [
        f"nvmlInit pid={pid}",
        f"nvmlDeviceGetHandleByIndex_v2 gpu=0 pid={pid}",
        f"nvmlDeviceGetName gpu=0 pid={pid}",
    ]


def test_a_function_that_an_old_driver_lacks_is_not_found(
    standin_library: Path, tmp_path: Path
) -> None:
    library = build(tmp_path, without=["nvmlDeviceGetMemoryInfo_v2"])
    script = write_script(tmp_path / "script.txt", "gpu 0 memory_total 77\n")
    code = NAME_OF_GPU_0 + (
        "print(n.nvmlDeviceGetMemoryInfo(h).total)\n"
        "try: n.nvmlDeviceGetMemoryInfo(h, n.nvmlMemory_v2)\n"
        "except n.NVMLError as error: print(type(error).__name__)\n"
    )

    told = [
        run_python(code, library=built, script=script).stdout.split()
        for built in (library, standin_library)
    ]

    assert told == [["77", "NVMLError_FunctionNotFound"], ["77"]]


def test_leaving_out_a_function_that_never_was_is_refused(
    standin_library: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="nvmlDeviceGetNothing"):
        build(tmp_path, without=["nvmlDeviceGetNothing"])


FORKED_DURING_A_CALL = """
import os, signal, sys, threading
import pynvml as n
n.nvmlInit()
hung = threading.Thread(target=n.nvmlSystemGetDriverVersion, daemon=True)
hung.start()
while not n.nvmlLib.standin_hanging(): pass
child = os.fork()
if not child:
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
    n.nvmlDeviceGetCount()
    os._exit(0)
status = os.waitpid(child, 0)[1]
killed = os.WIFSIGNALED(status)
print(signal.Signals(os.WTERMSIG(status)).name if killed else "answered", flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("lock", "patience_seconds", "child"), [("mutex\n", "0.5", "SIGALRM"), ("", "30", "answered")]
)
def test_a_fork_during_a_call_leaves_the_lock_held_in_the_child(
    standin_library: Path, tmp_path: Path, lock: str, patience_seconds: str, child: str
) -> None:
    script = write_script(tmp_path / "script.txt", f"{lock}on nvmlSystemGetDriverVersion hang\n")

    result = run_python(
        FORKED_DURING_A_CALL,
        library=standin_library,
        script=script,
        arguments=[patience_seconds],
    )

    assert result.stdout.split() == [child]


def test_many_threads_are_all_counted(nvml: StandIn) -> None:
    pynvml.nvmlInit()
    handle = gpu(0)

    def ask() -> set[int]:
        return {pynvml.nvmlDeviceGetPowerUsage(handle) for _ in range(500)}

    futures = [in_thread(ask) for _ in range(8)]

    assert [future.result(timeout=30) for future in futures] == [{75000}] * 8
    assert nvml.calls("nvmlDeviceGetPowerUsage") == 4000


def test_the_environment_of_another_process_puts_the_stand_in_first(tmp_path: Path) -> None:
    told = environment(tmp_path / "libnvidia-ml.so.1", tmp_path / "script.txt")

    assert told["LD_LIBRARY_PATH"].split(":")[0] == str(tmp_path)
    assert told["STANDIN_NVML"] == str(tmp_path / "script.txt")
    assert told["PATH"] == os.environ["PATH"]
