"""Checks on the files in ``/dev`` through which programs reach GPUs whose drivers are Linux' own.

None of them is opened.
https://docs.kernel.org/gpu/drm-uapi.html
"""

from vramline.doctor import surroundings
from vramline.doctor.bus import is_minor
from vramline.doctor.findings import Case, Finding, Findings, Status
from vramline.doctor.makers import AMD, INTEL, MAKERS, Maker
from vramline.machine.files import names_in
from vramline.readers.drm import Card

NODES = "device nodes"
KFD = "/dev/kfd"
TOPOLOGY = "/sys/class/kfd/kfd/topology/nodes"

# https://rocm.docs.amd.com/projects/install-on-linux/en/latest/install/prerequisites.html
JOIN_GROUPS = "sudo usermod -aG render,video $USER, and log in again"
JOIN_GROUP_IN = {
    "Docker": 'docker run --group-add "$(stat -c %g {node})" ...',
    "Podman": "podman run --group-add keep-groups ...",
    "Kubernetes": "set supplementalGroups in the pod's securityContext to the group of {node}",
    "LXC": "lxc config device set CONTAINER gpu gid GROUP, on the host",
}
WITHOUT = {
    AMD: "its figures are read without it; programs that compute on it need it",
    INTEL: "how full its memory is can only be asked through it, and programs need it too",
}


def nodes(case: Case) -> Findings:
    """Whether this user may use the cards."""
    # Of a host that is looked at from a container only /proc and /sys need to be there.
    if case.looks_at_host or not names_in(case.machine, "/dev"):
        return
    usable = []
    for maker in MAKERS:
        for card in case.cards.get(maker.vendor, ()):
            node = card.render_node
            allowed = node and surroundings.may_open(case.machine, node)
            if node and allowed:
                usable.append(node)
            elif node and allowed is False:
                yield _refused(case, maker, card, node)
            # In a container only what was passed is there: that is another check's.
            elif node and not case.container:
                yield _missing(case, maker, card, node)
    if usable:
        found = f"this user may use {', '.join(usable)}"
        yield Finding(check=NODES, status=Status.OK, found=found)


def kfd(case: Case) -> Findings:
    """The one file that ROCm reaches all of AMD's GPUs through.

    https://docs.kernel.org/gpu/amdgpu/driver-core.html
    """
    if case.looks_at_host or not names_in(case.machine, "/dev"):
        return
    allowed = surroundings.may_open(case.machine, KFD)
    given = [card for card in case.cards[AMD] if is_given(case, card)]
    if not given:
        return
    if allowed is None:
        yield Finding(
            check=NODES,
            status=Status.NOTE,
            found=f"there is no {KFD}",
            meaning="ROCm cannot start; programs that use Vulkan do without",
            mend=give(case, AMD, given[0])
            if case.container
            else "use a kernel that was built with CONFIG_HSA_AMD",
        )
    elif not allowed:
        yield Finding(
            check=NODES,
            status=Status.NOTE,
            found=f"this user may not read and write {KFD}",
            meaning="ROCm cannot start; programs that use Vulkan do without",
            mend=_let_in(case, AMD, given[0], KFD),
        )
    elif case.container and _topology_is_refused(case):
        yield Finding(
            check=NODES,
            status=Status.NOTE,
            found=f"the container has {KFD}, and not every GPU behind it",
            meaning="ROCm leaves out the GPUs whose files in /dev/dri were not given",
            mend=give(case, AMD, given[0]),
        )


def is_given(case: Case, card: Card) -> bool:
    """Tell whether the card can be reached from here, whoever may."""
    return card.render_node is not None and surroundings.exists(case.machine, card.render_node)


def give(case: Case, vendor: str, card: Card) -> str:
    """Return how to give the card to this container."""
    maker = next(maker for maker in MAKERS if maker.vendor == vendor)
    return maker.give[case.container or "Docker"].replace("{driver}", card.driver)


def _refused(case: Case, maker: Maker, card: Card, node: str) -> Finding:
    return Finding(
        check=NODES,
        status=_weight(case, maker, card),
        found=f"this user may not read and write {node}",
        meaning=WITHOUT[maker.vendor],
        mend=_let_in(case, maker.vendor, card, node),
    )


def _missing(case: Case, maker: Maker, card: Card, node: str) -> Finding:
    return Finding(
        check=NODES,
        status=_weight(case, maker, card),
        found=f"there is no {node}",
        meaning=WITHOUT[maker.vendor],
        mend="sudo udevadm trigger --subsystem-match=drm",
    )


def _weight(case: Case, maker: Maker, card: Card) -> Status:
    return Status.NOTE if is_minor(case, maker, card.address) else Status.PROBLEM


def _let_in(case: Case, vendor: str, card: Card, node: str) -> str:
    if case.container is None:
        return JOIN_GROUPS
    # Root is refused by the container's rules alone: `-v /dev/dri:/dev/dri` gives the names
    # of the devices, and no right to them.
    if surroundings.is_root(case.machine):
        return give(case, vendor, card)
    return JOIN_GROUP_IN[case.container].replace("{node}", node)


def _topology_is_refused(case: Case) -> bool:
    """Tell whether the container's rules for devices hide one of ROCm's GPUs.

    The kernel asks them before it tells a GPU's properties (``kfd_devcgroup_check_permission``
    in drivers/gpu/drm/amd/amdkfd/kfd_topology.c).
    """
    for name in names_in(case.machine, TOPOLOGY):
        try:
            case.machine.read(f"{TOPOLOGY}/{name}/properties")
        except PermissionError:
            return True
        except OSError:
            continue
    return False


LINUX_CHECKS = (nodes, kfd)
