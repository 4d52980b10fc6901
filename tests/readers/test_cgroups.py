import json
from pathlib import Path

import pytest

from vramline.machine import RecordedMachine
from vramline.readers.host.cgroups import Ancestry, Cgroup, Cgroups
from vramline.readings import Cause

DATA = Path(__file__).parent.parent / "data" / "host"
V2 = "/sys/fs/cgroup"


def find(memberships: str, *mounts: str) -> Ancestry | Cause:
    mountinfo = "21 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw\n" + "".join(
        f"{33 + number} 21 0:28 {mount}\n" for number, mount in enumerate(mounts)
    )
    entries = {"/proc/self/cgroup": memberships, "/proc/self/mountinfo": mountinfo}
    return Cgroups(RecordedMachine(entries)).find()


def recorded(name: str) -> Ancestry | Cause:
    entries = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    return Cgroups(RecordedMachine(entries)).find()


def chain(version: int, mount: str, *paths: str) -> tuple[Cgroup, ...]:
    return tuple(
        Cgroup(folder=mount + ("" if path == "/" else path), path=path, version=version)
        for path in paths
    )


def both(version: int, mount: str, *paths: str) -> Ancestry:
    found = chain(version, mount, *paths)
    return Ancestry(memory=found, cpu=found)


def test_every_cgroup_up_to_the_mount_is_above_the_process() -> None:
    found = find("0::/a.slice/b.scope\n", f"/ {V2} rw shared:9 - cgroup2 cgroup2 rw,nsdelegate")

    assert found == both(2, V2, "/a.slice/b.scope", "/a.slice", "/")


def test_in_a_namespace_the_mount_is_the_own_cgroup() -> None:
    assert find("0::/\n", f"/ {V2} ro - cgroup2 cgroup rw") == both(2, V2, "/")


def test_a_kernel_without_cgroups_has_none() -> None:
    assert Cgroups(RecordedMachine({})).find() == Ancestry()
    assert find("") == Ancestry()


def test_cgroups_that_are_not_mounted_are_not_visible() -> None:
    assert find("4:memory:/a\n3:cpu:/a\n0::/a\n") == Ancestry()


def test_a_mount_of_the_own_cgroup_shows_it_and_what_lies_below() -> None:
    mount = f"/docker/3f {V2}/memory ro master:17 - cgroup cgroup rw,memory"

    assert find("4:memory:/docker/3f\n", mount) == Ancestry(memory=chain(1, f"{V2}/memory", "/"))
    assert find("4:memory:/docker/3f/job\n", mount) == Ancestry(
        memory=chain(1, f"{V2}/memory", "/job", "/")
    )


@pytest.mark.parametrize("path", ["/docker/3f0", "/docker", "/", "/other/3f", "/../docker/3f"])
def test_a_mount_of_another_cgroup_shows_nothing(path: str) -> None:
    assert find(f"0::{path}\n", f"/docker/3f {V2} ro - cgroup2 cgroup rw") == Ancestry()


@pytest.mark.parametrize("path", ["/..", "/../other", "/a/../../b"])
def test_a_process_outside_the_namespace_is_not_below_its_mount(path: str) -> None:
    assert find(f"0::{path}\n", f"/ {V2} ro - cgroup2 cgroup rw") == Ancestry()


def test_names_above_the_namespace_are_taken_where_the_process_lies_there() -> None:
    found = find("0::/../../init.scope\n", f"/../.. {V2} rw - cgroup2 cgroup2 rw")

    assert found == both(2, V2, "/init.scope", "/")


@pytest.mark.parametrize("path", ["/", "/job", "/../other"])
def test_of_a_mount_above_the_namespace_only_the_root_is_known(path: str) -> None:
    assert find(f"0::{path}\n", f"/../.. {V2} rw - cgroup2 cgroup2 rw") == both(2, V2, "/")


def test_a_mount_below_the_process_shows_nothing() -> None:
    assert find("0::/../../../x\n", f"/../.. {V2} rw - cgroup2 cgroup2 rw") == Ancestry()


def test_the_mount_that_shows_most_is_taken() -> None:
    found = find(
        "0::/a/b\n",
        f"/../.. {V2} rw - cgroup2 cgroup2 rw",
        "/a/b /mnt/own rw - cgroup2 cgroup2 rw",
        "/ /mnt/all rw - cgroup2 cgroup2 rw",
        "/a /mnt/a rw - cgroup2 cgroup2 rw",
    )

    assert found == both(2, "/mnt/all", "/a/b", "/a", "/")


def test_a_controller_is_looked_for_where_it_is_and_not_in_the_other_version() -> None:
    found = find(
        "5:memory:/batch/job\n1:name=systemd:/x\n0::/user.slice\n",
        f"/ {V2} rw - tmpfs tmpfs rw,mode=755",
        f"/ {V2}/systemd rw - cgroup cgroup rw,xattr,name=systemd",
        f"/ {V2}/memory rw - cgroup cgroup rw,memory",
        f"/ {V2}/unified rw - cgroup2 cgroup2 rw",
    )

    assert found == Ancestry(
        memory=chain(1, f"{V2}/memory", "/batch/job", "/batch", "/"),
        cpu=chain(2, f"{V2}/unified", "/user.slice", "/"),
    )


def test_controllers_may_share_a_mount() -> None:
    found = find("3:cpu,cpuacct:/a\n", f"/ {V2}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct")

    assert found == Ancestry(cpu=chain(1, f"{V2}/cpu,cpuacct", "/a", "/"))


def test_names_are_unescaped() -> None:
    found = find("0::/a b/c\\d\n", "/a\\040b /mnt/t\\011ab\\134 rw - cgroup2 cgroup2 rw")

    assert found == both(2, "/mnt/t\tab\\", "/c\\d", "/")


def test_a_colon_belongs_to_the_path() -> None:
    found = find("0::/a:b.service\n", f"/ {V2} rw - cgroup2 cgroup2 rw")

    assert found == both(2, V2, "/a:b.service", "/")


@pytest.mark.parametrize("line", ["nonsense", "0::", "0::relative", "4:memory"])
def test_a_membership_that_makes_no_sense_is_garbled(line: str) -> None:
    assert find(f"{line}\n", f"/ {V2} rw - cgroup2 cgroup2 rw") is Cause.GARBLED


@pytest.mark.parametrize("mount", ["", f"/ {V2} rw - cgroup2", f"/ {V2} rw"])
def test_a_list_of_mounts_that_was_cut_off_is_garbled(mount: str) -> None:
    assert find("0::/\n", mount) is Cause.GARBLED


def test_a_list_of_mounts_that_could_not_be_read_is_asked_for_again() -> None:
    entries: dict[str, object] = {"/proc/self/cgroup": "0::/\n"}

    class Mending(RecordedMachine):
        def read(self, path: str) -> str:
            if path in entries:
                return str(entries[path])
            return super().read(path)

    cgroups = Cgroups(Mending({"/proc/self/mountinfo": {"errno": "EACCES"}}))
    refused = cgroups.find()
    entries["/proc/self/mountinfo"] = f"33 24 0:28 / {V2} rw - cgroup2 cgroup2 rw\n"

    assert (refused, cgroups.find()) == (Cause.NO_PERMISSION, both(2, V2, "/"))


def test_a_real_hybrid_machine_has_its_controllers_in_version_1() -> None:
    sandbox = "/sandbox/0123456789abcdef0123456789abcdef"

    assert recorded("hybrid_limited") == Ancestry(
        memory=chain(
            1,
            f"{V2}/memory",
            f"{sandbox}/limited/leaf",
            f"{sandbox}/limited",
            sandbox,
            "/sandbox",
            "/",
        ),
        cpu=chain(1, f"{V2}/cpu", "/limited", "/"),
    )


def test_a_real_mount_of_the_cgroup_above_has_a_space_in_its_name() -> None:
    assert recorded("v1_bind_mount") == Ancestry(
        memory=chain(1, "/mnt/one container", "/leaf", "/"),
        cpu=chain(1, f"{V2}/cpu", "/limited", "/"),
    )


def test_a_real_namespaces_own_mount_comes_before_an_inherited_one() -> None:
    assert recorded("v1_namespace") == Ancestry(
        memory=chain(1, "/mnt/m", "/"), cpu=chain(1, "/mnt/one container", "/")
    )
