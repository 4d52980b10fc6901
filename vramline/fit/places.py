"""Which layers lie where.

The last ``--gpu-layers`` of the layers, counting the output as one behind the blocks, go to the
devices, in order, by their shares.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-model.cpp (``load_tensors``,
``get_layer_buft_list``)
"""

import struct
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

from vramline.fit.buffers import BUFFERS, HOST_BUFFERS, PlaceBuffers
from vramline.fit.settings import HOST, Device, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Blocks from *begin* to before *end*, in one place.

    Attributes:
        has_output: The output layer lies there too.
    """

    place: str
    buffers: PlaceBuffers
    begin: int
    end: int
    has_output: bool


def spread(settings: Settings, blocks: int) -> tuple[Span, ...]:
    """Return the host's span, even if it is empty, and every device's that has a layer."""
    devices = settings.devices
    on_devices = layers_on_devices(settings, blocks)
    start = blocks + 1 - on_devices
    spans = [host_span(min(start, blocks), has_output=start > blocks)]
    ends = boundaries(devices, on_devices) if len(devices) > 1 else [on_devices]
    begin = 0
    for device, end in zip(devices, ends, strict=False):
        if end > begin:
            spans.append(
                Span(
                    place=device.uid,
                    buffers=BUFFERS[device.backend],
                    begin=start + begin,
                    end=min(start + end, blocks),
                    has_output=end == on_devices,
                )
            )
        begin = end
    return tuple(spans)


def layers_on_devices(settings: Settings, blocks: int) -> int:
    """Return how many layers the devices take, of *blocks* and the output layer."""
    if not settings.devices:
        return 0
    asked = settings.device_layers
    return blocks + 1 if asked < 0 else min(asked, blocks + 1)


def all_on_devices(settings: Settings, blocks: int) -> bool:
    """Whether nothing of the layers is on the host: no weights but the inputs, and no caches."""
    whole = layers_on_devices(settings, blocks) > blocks
    return whole and settings.cache_on_devices and not settings.host_expert_layers


def host_span(blocks: int, *, has_output: bool) -> Span:
    """Return the first *blocks*, on the host."""
    return Span(place=HOST, buffers=HOST_BUFFERS, begin=0, end=blocks, has_output=has_output)


def boundaries(devices: tuple[Device, ...], layers: int) -> list[int]:
    """Return before which of the *layers* each device ends, in single precision as there."""
    shares = [single(max(0.0, device.share)) for device in devices]
    if not any(shares):
        shares = [1.0] * len(devices)
    running = list(accumulate(shares, lambda before, share: single(before + share)))
    ends = [single(share / running[-1]) for share in running]
    return [
        bisect_left(range(layers), end, key=lambda layer: single(layer / layers)) for end in ends
    ]


def single(value: float) -> float:
    """Return *value* as a 32-bit float has it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])
