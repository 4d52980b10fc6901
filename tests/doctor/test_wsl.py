from tests.doctor import found
from tests.snapshots import a_gpu, a_snapshot
from vramline.doctor import Finding, Status

WSL = {"/proc/sys/kernel/osrelease": "6.6.87.2-microsoft-standard-WSL2\n"}
WINDOWS_DRIVER = {"/usr/lib/wsl/lib/libnvidia-ml.so.1": ""}
NO_NVIDIA = Finding(
    check="WSL 2",
    status=Status.NOTE,
    found="Windows offers no NVIDIA driver in /usr/lib/wsl/lib",
    meaning="an NVIDIA GPU of this machine cannot be used under WSL 2",
    mend="install NVIDIA's driver on Windows, then run there: wsl --update",
)


def test_a_gpu_under_windows_is_told_to_be() -> None:
    entries = {**WSL, **WINDOWS_DRIVER, "/dev/dxg": ""}

    assert found("WSL 2", entries, snapshot=a_snapshot(a_gpu(0))) == [
        Finding(
            check="WSL 2",
            status=Status.NOTE,
            found="the GPU is reached through Windows' driver",
            meaning="the memory of each process is not told, nor are processes of Windows",
        )
    ]


def test_windows_without_a_driver_is_told() -> None:
    assert found("WSL 2", WSL) == [NO_NVIDIA]


def test_a_linux_driver_under_windows_is_a_problem() -> None:
    library = {"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.65.06": ""}

    assert found("WSL 2", {**WSL, **WINDOWS_DRIVER, **library}) == [
        Finding(
            check="WSL 2",
            status=Status.PROBLEM,
            found="a Linux driver (580.65.06) is installed under WSL 2",
            meaning="it takes the place of Windows' driver, and has no GPU to drive",
            mend="sudo apt purge 'nvidia-driver-*' 'libnvidia-compute-*', or as your "
            "distribution removes it",
        )
    ]


def test_linux_of_its_own_is_not_under_windows() -> None:
    assert found("WSL 2", {"/proc/sys/kernel/osrelease": "6.8.0-45-generic\n"}) == []


def test_gpus_of_other_makers_cannot_be_read_under_windows() -> None:
    assert found("WSL 2", {**WSL, "/dev/dxg": ""}) == [
        NO_NVIDIA,
        Finding(
            check="WSL 2",
            status=Status.NOTE,
            found="Windows hands on its GPUs through /dev/dxg",
            meaning="the memory of an AMD or Intel GPU cannot be read from inside WSL 2; "
            "ROCm, Level Zero and DirectX reach the GPU all the same",
            mend="on Windows itself: py -m pip install 'vramline[cli]', then py -m vramline",
        ),
    ]


def test_windows_that_hands_on_no_gpu_is_told() -> None:
    assert found("WSL 2", {**WSL, "/dev/null": ""}) == [
        NO_NVIDIA,
        Finding(
            check="WSL 2",
            status=Status.NOTE,
            found="there is no /dev/dxg: Windows hands on no GPU",
            meaning="no program here can use one",
            mend="run on Windows: wsl --update, then wsl --shutdown",
        ),
    ]


def test_a_container_under_windows_is_a_container() -> None:
    assert found("WSL 2", {**WSL, "/dev/dxg": "", "/.dockerenv": ""}) == []
