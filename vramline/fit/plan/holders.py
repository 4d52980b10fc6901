"""Who holds the memory that is missing."""

from collections.abc import Iterator, Mapping, Sequence

from vramline.fit.plan.loaded import LoadedModel
from vramline.fit.plan.values import Holder, HolderKind
from vramline.fit.settings import HOST
from vramline.readings import Snapshot

DESKTOP = frozenset(
    (
        *("xorg", "x", "xwayland", "gnome-shell", "mutter", "kwin_wayland", "kwin_x11"),
        *("plasmashell", "cinnamon", "xfwm4", "sway", "hyprland", "cosmic-comp", "weston"),
        *("dwm.exe", "explorer.exe", "csrss.exe", "winlogon.exe", "logonui.exe", "windowserver"),
    )
)
"""Who closes these closes everything: what draws the desktop, by the names of their programs."""


def can_be_closed(holder: Holder) -> bool:
    """Whether it is a process, and one that a person could do without."""
    name = (holder.name or "").replace("\\", "/").rpartition("/")[2].lower()
    return holder.kind is HolderKind.PROCESS and name not in DESKTOP


def held_by(model: LoadedModel, snapshot: Snapshot) -> Mapping[str, int]:
    """Return what *model* holds by place, as far as that can be told.

    What its runner does not tell of the devices, their drivers tell of its process. Where only
    the sum of all devices is known, it is the one device's, if there is just one.
    """
    held = dict(model.bytes_at)
    if held.keys() <= {HOST}:
        held |= held_by_process(model.pid, snapshot)
    if held.keys() <= {HOST} and model.gpu_bytes and len(snapshot.gpus) == 1:
        held[snapshot.gpus[0].uid] = model.gpu_bytes
    if HOST not in held and model.total_bytes is not None and model.gpu_bytes is not None:
        held[HOST] = model.total_bytes - model.gpu_bytes
    return {place: size for place, size in held.items() if size > 0}


def held_by_process(pid: int | None, snapshot: Snapshot) -> Mapping[str, int]:
    """Return what a process holds on each device, as their drivers tell it."""
    return {
        gpu.uid: process.memory_bytes
        for gpu in snapshot.gpus
        for process in gpu.processes or ()
        if pid is not None and process.pid == pid and process.memory_bytes
    }


def holders_in(
    places: Sequence[str], snapshot: Snapshot, loaded: Sequence[LoadedModel]
) -> tuple[Holder, ...]:
    """Return who holds memory in *places*, who holds most first: models apart from processes."""
    models = [
        model_holder(model, place, held)
        for model in loaded
        for place, held in held_by(model, snapshot).items()
        if place in places
    ]
    pids = {model.pid for model in loaded if model.pid is not None}
    found = (*models, *processes_in(places, snapshot, pids))
    return tuple(
        sorted(found, key=lambda each: (-(each.held_bytes or 0), each.kind, str(each.name)))
    )


def model_holder(model: LoadedModel, place: str, held: int) -> Holder:
    """Return a loaded model as a holder."""
    return Holder(
        kind=HolderKind.LOADED_MODEL,
        name=model.name,
        pid=model.pid,
        place=place,
        held_bytes=held,
        can_be_unloaded=model.can_be_unloaded,
    )


def processes_in(places: Sequence[str], snapshot: Snapshot, but_for: set[int]) -> Iterator[Holder]:
    """Give the processes in *places*, without those that hold the loaded models."""
    for gpu in snapshot.gpus:
        if gpu.uid not in places:
            continue
        for process in gpu.processes or ():
            if process.pid not in but_for and process.memory_bytes != 0:
                yield Holder(
                    kind=HolderKind.PROCESS,
                    name=process.name,
                    pid=process.pid,
                    place=gpu.uid,
                    held_bytes=process.memory_bytes,
                )
