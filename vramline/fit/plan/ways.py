"""The ways that a machine has to run a model: a placement, on which devices, which cache type."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.rooms import Ground, Usable
from vramline.fit.plan.telling import can_be_chosen
from vramline.fit.plan.wish import CAN_PLACE, Criterion, Placement, Wish
from vramline.fit.settings import TORCH_RUNNERS, Backend, Device
from vramline.fit.tensor_types import TensorType

SPLIT = frozenset((Placement.EXPERTS_ON_HOST, Placement.PARTLY))

Cost = tuple[tuple[float, ...], ...]
"""What is against something, the most important first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way.

    Attributes:
        devices: With the backend that drives them; none for the host.
    """

    placement: Placement
    devices: tuple[Usable, ...]
    backend: Backend | None
    cache_type: TensorType

    @property
    def budget_bytes(self) -> int:
        """What there is on all of its devices together."""
        return sum(device.budget_bytes for device in self.devices)

    def as_devices(self, shares: tuple[int, ...] | None = None) -> tuple[Device, ...]:
        """Return the devices as settings have them; *shares* are counts of layers."""
        if self.backend is None:
            return ()
        counts = shares or (1,) * len(self.devices)
        return tuple(
            Device(uid=device.uid, backend=self.backend, share=float(count))
            for device, count in zip(self.devices, counts, strict=True)
        )


def ways_of(ground: Ground, wish: Wish) -> tuple[Way, ...]:
    """Return every way, the best first: for any one model the order is the same."""
    can = CAN_PLACE[wish.settings.runner]
    allowed = [placement for placement in wish.placements if placement in can]
    ways = [
        Way(placement=placement, devices=devices, backend=backend, cache_type=cache_type)
        for placement in dict.fromkeys(allowed)
        for devices, backend in sets_for(placement, ground)
        for cache_type in cache_types_of(wish)
    ]
    return tuple(sorted(ways, key=lambda way: order_of(way, wish)))


def cache_types_of(wish: Wish) -> tuple[TensorType, ...]:
    """Return the types that the runner can keep its cache in, best first.

    Those on PyTorch have other types than llama.cpp's, which are not chosen here.
    """
    types = tuple(dict.fromkeys(wish.cache_types))
    return types[:1] if wish.settings.runner in TORCH_RUNNERS else types


def sets_for(
    placement: Placement, ground: Ground
) -> Iterator[tuple[tuple[Usable, ...], Backend | None]]:
    """Give the sets of devices that a placement can have, fewer devices first."""
    if placement is Placement.HOST:
        if ground.host.budget_bytes is not None:
            yield (), None
        return
    if placement in SPLIT and ground.host.budget_bytes is None:
        return
    shared = placement is Placement.SHARED_DEVICE
    devices = [device for device in ground.devices if device.shared is shared]
    yield from singles(devices, ground)
    if not shared:
        yield from groups([device for device in devices if not device.alone], ground)


def singles(
    devices: Iterable[Usable], ground: Ground
) -> Iterator[tuple[tuple[Usable, ...], Backend]]:
    """Give every device that can be used alone, with the best backend that it can be through."""
    for device in devices:
        backends = (each for each in device.backends if ground.can_be_told((device,), each))
        backend = next(backends, None)
        if backend is not None:
            yield (device,), backend


def groups(
    devices: Iterable[Usable], ground: Ground
) -> Iterator[tuple[tuple[Usable, ...], Backend]]:
    """Give, for each backend, the two roomiest devices, the three roomiest, and so on.

    More devices of a kind have room for all that fewer have. The roomiest come first, as they
    are filled in that order; where the order cannot be said, they are as the machine has them.
    """
    known = tuple(devices)
    ordered = sorted(known, key=lambda device: (-device.budget_bytes, device.uid))
    seen = set()
    for backend in dict.fromkeys(backend for device in ordered for backend in device.backends):
        driven = [device for device in ordered if backend in device.backends]
        for count in range(2, len(driven) + 1):
            chosen = tuple(driven[:count])
            if not all(can_be_chosen(device.uid, backend) for device in chosen):
                chosen = tuple(device for device in known if device in chosen)
            if chosen not in seen and ground.can_be_told(chosen, backend):
                seen.add(chosen)
                yield chosen, backend


def order_of(way: Way, wish: Wish) -> tuple[float | int | str, ...]:
    """Return what puts the ways of one model in order before anything is known of it."""
    known = {
        Criterion.PLACEMENT: wish.placements.index(way.placement),
        Criterion.CACHE_TYPE: wish.cache_types.index(way.cache_type),
        Criterion.FEWER_DEVICES: len(way.devices),
        Criterion.MORE_CONTEXT: way.placement in SPLIT,
    }
    bandwidths = [device.bandwidth_bytes_per_second or 0 for device in way.devices]
    return (
        *(known.get(criterion, 0) for criterion in wish.preferences),
        -min(bandwidths, default=0),
        -way.budget_bytes,
        *(device.uid for device in way.devices),
    )


def best_ways(ways: tuple[Way, ...]) -> tuple[Way, ...]:
    """Return one way of each placement: the roomiest, with the smallest cache."""
    by_placement = sorted(ways, key=lambda way: way.placement)
    return tuple(
        min(group, key=lambda way: (-way.budget_bytes, len(way.devices), smallness(way)))
        for _, group in groupby(by_placement, key=lambda way: way.placement)
    )


def smallness(way: Way) -> float:
    """Return the bytes of an element in the cache."""
    return way.cache_type.bytes_per_block / way.cache_type.elements_per_block


def could_fit(way: Way, candidate: Candidate, ground: Ground, wish: Wish) -> bool:
    """Whether the weights alone could fit so: the cheapest look of all."""
    host = ground.host.budget_bytes if wish.mapped_counts else None
    loaded, inputs = candidate.weight_bytes, candidate.input_bytes
    if way.placement is Placement.HOST:
        return host is None or loaded <= host
    if way.placement not in SPLIT:
        return loaded - inputs <= way.budget_bytes
    if way.placement is Placement.EXPERTS_ON_HOST:
        if not candidate.has_experts:
            return False
        if loaded - inputs - candidate.expert_bytes > way.budget_bytes:
            return False
    elif not candidate.blocks:
        return False
    return host is None or loaded <= way.budget_bytes + host
