import pytest

from tests.doctor import Entries, a_card, an_amd_apu, an_intel_gpu, found
from tests.snapshots import a_gpu, a_snapshot
from vramline.doctor import Finding, Status, examine
from vramline.machine import RecordedMachine

NODES = "device nodes"
RENDER = "/dev/dri/renderD128"
REFUSED = {"errno": "EACCES"}
DOCKER = {"/.dockerenv": ""}
ROOT = {"/proc/self/status": "Name:\tpython3\nUid:\t0\t0\t0\t0\n"}
USER = {"/proc/self/status": "Name:\tpython3\nUid:\t1000\t1000\t1000\t1000\n"}
KFD = {"/dev/kfd": ""}

JOIN = "sudo usermod -aG render,video $USER, and log in again"
OF_AMD = "its figures are read without it; programs that compute on it need it"
OF_INTEL = "how full its memory is can only be asked through it, and programs need it too"
NO_ROCM = "ROCm cannot start; programs that use Vulkan do without"
GIVE = "docker run --device /dev/kfd --device /dev/dri ..."


def test_device_files_that_may_be_opened_are_well() -> None:
    entries = {
        **a_card("amdgpu"),
        **a_card("xe", "0000:04:00.0", 1),
        RENDER: "",
        "/dev/dri/renderD129": "",
        **KFD,
    }

    assert found(NODES, entries) == [
        Finding(
            check=NODES,
            status=Status.OK,
            found="this user may use /dev/dri/renderD128, /dev/dri/renderD129",
        )
    ]


@pytest.mark.parametrize(("driver", "meaning"), [("amdgpu", OF_AMD), ("xe", OF_INTEL)])
def test_a_device_file_that_is_refused_is_a_problem(driver: str, meaning: str) -> None:
    assert found(NODES, {**a_card(driver), RENDER: REFUSED, **KFD}) == [
        Finding(
            check=NODES,
            status=Status.PROBLEM,
            found="this user may not read and write /dev/dri/renderD128",
            meaning=meaning,
            mend=JOIN,
        )
    ]


def test_a_device_file_that_is_missing_is_a_problem() -> None:
    assert found(NODES, {**a_card("xe"), "/dev/null": ""}) == [
        Finding(
            check=NODES,
            status=Status.PROBLEM,
            found="there is no /dev/dri/renderD128",
            meaning=OF_INTEL,
            mend="sudo udevadm trigger --subsystem-match=drm",
        )
    ]


def test_of_the_gpu_in_the_processor_it_is_a_note() -> None:
    entries: Entries = {**a_card("i915", "0000:00:02.0"), RENDER: REFUSED}

    assert [finding.status for finding in found(NODES, entries)] == [Status.NOTE]


def test_an_apu_beside_a_gpu_with_its_own_memory_is_not_missed() -> None:
    entries: Entries = {**a_card("amdgpu", "0000:c4:00.0"), RENDER: REFUSED, **KFD}

    beside = found(NODES, entries, snapshot=a_snapshot(a_gpu(0), an_amd_apu()))
    alone = found(NODES, entries, snapshot=a_snapshot(an_amd_apu()))

    assert [finding.status for finding in (*beside, *alone)] == [Status.NOTE, Status.PROBLEM]


@pytest.mark.parametrize(
    ("marks", "mend"),
    [
        (
            {"/.dockerenv": ""},
            'docker run --group-add "$(stat -c %g /dev/dri/renderD128)" ...',
        ),
        ({"/run/.containerenv": ""}, "podman run --group-add keep-groups ..."),
        (
            {"/proc/self/cgroup": "4:memory:/kubepods/pod1/3f2a\n"},
            f"set supplementalGroups in the pod's securityContext to the group of {RENDER}",
        ),
        (
            {"/proc/self/cgroup": "0::/lxc.payload.box\n"},
            "lxc config device set CONTAINER gpu gid GROUP, on the host",
        ),
    ],
)
def test_in_a_container_the_group_has_to_be_passed(marks: dict[str, str], mend: str) -> None:
    findings = found(NODES, {**a_card("xe"), **marks, **USER, RENDER: REFUSED})

    assert [finding.mend for finding in findings] == [mend]


def test_root_in_a_container_is_refused_by_the_containers_rules() -> None:
    findings = found(NODES, {**a_card(), **DOCKER, **ROOT, RENDER: REFUSED, **KFD})

    assert [finding.mend for finding in findings] == [GIVE]


def test_what_a_container_was_not_given_is_another_checks_to_tell() -> None:
    assert found(NODES, {**a_card(), **DOCKER, "/dev/null": ""}) == []


def test_without_kfd_rocm_cannot_start() -> None:
    assert found(NODES, {**a_card(), RENDER: ""})[0] == Finding(
        check=NODES,
        status=Status.NOTE,
        found="there is no /dev/kfd",
        meaning=NO_ROCM,
        mend="use a kernel that was built with CONFIG_HSA_AMD",
    )
    assert found(NODES, {**a_card(), **DOCKER, RENDER: ""})[0] == Finding(
        check=NODES,
        status=Status.NOTE,
        found="there is no /dev/kfd",
        meaning=NO_ROCM,
        mend=GIVE,
    )


def test_a_kfd_that_is_refused_is_told() -> None:
    assert found(NODES, {**a_card(), RENDER: "", "/dev/kfd": REFUSED})[0] == Finding(
        check=NODES,
        status=Status.NOTE,
        found="this user may not read and write /dev/kfd",
        meaning=NO_ROCM,
        mend=JOIN,
    )


def test_a_gpu_that_the_containers_rules_hide_from_rocm_is_told() -> None:
    nodes = "/sys/class/kfd/kfd/topology/nodes"
    entries: Entries = {
        **a_card(),
        **DOCKER,
        RENDER: "",
        **KFD,
        f"{nodes}/0/properties": "cpu_cores_count 16\n",
        f"{nodes}/1/properties": {"errno": "EPERM"},
    }

    assert found(NODES, entries)[0] == Finding(
        check=NODES,
        status=Status.NOTE,
        found="the container has /dev/kfd, and not every GPU behind it",
        meaning="ROCm leaves out the GPUs whose files in /dev/dri were not given",
        mend=GIVE,
    )


def test_kfd_is_not_asked_for_without_a_gpu_of_amds() -> None:
    assert found(NODES, {**a_card("xe"), RENDER: ""}) == [
        Finding(check=NODES, status=Status.OK, found="this user may use /dev/dri/renderD128")
    ]


class Host(RecordedMachine):
    """A host, as a container sees it that has its ``/proc`` and ``/sys``."""

    @property
    def process(self) -> str:
        return "1"


def test_this_users_rights_on_a_host_that_is_looked_at_do_not_count() -> None:
    every_process = {**ROOT, "/proc/2/comm": "kthreadd\n"}
    host = Host({**a_card("xe"), **DOCKER, **every_process, RENDER: REFUSED})

    findings = examine(host, a_snapshot(an_intel_gpu()), version_of={"nvidia-ml-py": "13"}.get)

    assert [finding.check for finding in findings] == ["Python binding", "Intel GPUs", "PCI bus"]
