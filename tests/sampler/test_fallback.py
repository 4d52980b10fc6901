import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.standin import environment, write_script

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = CHECKOUT / "tests" / "programs"

PROGRAM = """
from vramline.models.resource_monitor import ResourceMonitor
with ResourceMonitor() as monitor:
    resources = monitor.get_current_resources()
    print({name: value for name, value in resources.items() if name.startswith("gpu")})
    snapshot = monitor.snapshot()
    print([gpu.uid for gpu in snapshot.gpus], list(snapshot.absent))
    print(snapshot.failures)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("gpu_tracker") is None,
    reason="needs gpu-tracker: pip install 'vramline[gpu-tracker]'",
)
def test_where_nvml_fails_gpu_tracker_is_tried_next(standin_library: Path, tmp_path: Path) -> None:
    script = write_script(tmp_path / "script.txt", "on nvmlInit error=18\n")
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "total").write_text("uuid, memory.total [MiB]\nGPU-1, 24576 MiB\n")
    (answers / "processes").write_text("pid, used_gpu_memory [MiB]\n")
    (answers / "used").write_text(
        "uuid, memory.used [MiB], utilization.gpu [%]\nGPU-1, 4096 MiB, 50 %\n"
    )
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("nvidia-smi", "answer.sh"):
        shutil.copy(PROGRAMS / name, programs)
    environ = environment(standin_library, script)
    environ |= {
        "PATH": f"{programs}:{environ['PATH']}",
        "SMI_ANSWERS": str(answers),
        "PYTHONPATH": str(CHECKOUT),
    }

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        str(
            {
                "gpu_vram_gb": 20.0,
                "gpu_total_vram_gb": 24.0,
                "gpu_used_vram_gb": 4.0,
                "gpu_free_vram_gb": 20.0,
                "gpu_utilization_percent": 50.0,
                "gpu_temperature_c": 0.0,
            }
        ),
        "['gpu-tracker:nvidia'] ['amd', 'intel']",
        str(
            {
                "nvidia": "the NVIDIA driver and its library libnvidia-ml are of different "
                "versions, as after a driver update: reboot, or on Linux unload and load the "
                "kernel module"
            }
        ),
    ]
