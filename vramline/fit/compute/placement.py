"""Where weights and caches lie: the places are numbered, devices first, the host last.

The scheduler's order too: it asks the devices first.
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-context.cpp
"""

from vramline.fit.buffers import BUFFERS, HOST_BUFFER
from vramline.fit.compute.graph import Node
from vramline.fit.places import all_on_devices, layers_on_devices, spread
from vramline.fit.settings import HOST, Backend, Settings, padded
from vramline.fit.tensor_types import TensorType
from vramline.fit.weights import EXPERTS, NORM_IS_OUTPUT, SLOTS, Slot

CACHE = "cache_"
"""How the names of caches begin."""

TIED = "token_embd.weight (copy)"
"""The output layer's copy of the token embedding."""

PIPELINED_COPIES = 4
"""``GGML_SCHED_MAX_COPIES``"""

CUDA = BUFFERS[Backend.CUDA].plain


class Placement:
    """Where one model lies under one set of settings.

    Attributes:
        places: Their names, the host's last.
        host: Its number.
        blocks: Of each block, the number of its place.
        output: Of the output layer, likewise.
        whole: No layer is on the host.
        caches_on_devices: Caches lie where their layer does.
        copies: Of each input of a split: several where devices work on several batches at
            once, each on its part of the layers.
    """

    def __init__(self, settings: Settings, blocks: int, architecture: str) -> None:
        self.places = (*(device.uid for device in settings.devices), HOST)
        self.host = len(self.places) - 1
        self.blocks = [self.host] * blocks
        self.output = self.host
        for span in spread(settings, blocks):
            number = self.places.index(span.place)
            self.blocks[span.begin : span.end] = [number] * (span.end - span.begin)
            if span.has_output:
                self.output = number
        self.whole = layers_on_devices(settings, blocks) > blocks
        self.caches_on_devices = settings.cache_on_devices
        self._host_experts = settings.host_expert_layers
        self._output_norm = "token_embd_norm" if architecture in NORM_IS_OUTPUT else ""
        self.copies = copies_of_inputs(settings, blocks)

    def of(self, leaf: Node) -> int:
        """Return the number of the place that a weight or a cache lies in."""
        name, layer = leaf.name, leaf.layer
        if layer is not None:
            on_host = layer < self._host_experts and EXPERTS.search(name) is not None
            if name.startswith(CACHE):
                on_host = not self.caches_on_devices
            return self.host if on_host else self.blocks[layer]
        stem = name.partition(".")[0]
        slot = Slot.HEAD if stem == self._output_norm or name == TIED else SLOTS.get(stem)
        if slot is Slot.INPUT:
            return self.host
        return self.blocks[0] if slot is Slot.FIRST else self.output

    def bytes_in(self, node: Node, place: int, sources: tuple[Node, ...]) -> int:
        """Return what *node* takes in the buffer of a place, where it reads *sources*."""
        # What is computed lies without gaps: only a copy of a view has them.
        size = extent(node) if node.op == "NONE" else node.strides[3] * node.lengths[3]
        if place == self.host:
            return padded(size, HOST_BUFFER.alignment_bytes)
        if node.op == "FLASH_ATTN_EXT":
            size = with_halves(sources[1], sources[2], size)
        kind = node.kind
        if kind.elements_per_block > 1 and node.lengths[0] % CUDA.row_padding:
            size += kind.row_bytes(CUDA.row_padding - node.lengths[0] % CUDA.row_padding)
        return padded(size, CUDA.alignment_bytes)


def copies_of_inputs(settings: Settings, blocks: int) -> int:
    """Return how often each input is there: devices share several batches if all is on them."""
    several = len(settings.devices) > 1 and all_on_devices(settings, blocks)
    return PIPELINED_COPIES if several else 1


def extent(node: Node) -> int:
    """Return the bytes from the first element to the last: a copy keeps the gaps of a view."""
    lengths, strides, kind = node.lengths, node.strides, node.kind
    one, two, three, four = lengths
    if not (one and two and three and four):
        return 0
    if kind.elements_per_block == 1:
        size = kind.bytes_per_block + (one - 1) * strides[0]
    else:
        size = one * strides[0] // kind.elements_per_block
    return size + (two - 1) * strides[1] + (three - 1) * strides[2] + (four - 1) * strides[3]


def with_halves(key: Node, value: Node, size: int) -> int:
    """Return *size* with F16 copies of keys and values behind it, where those are not F16.

    https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cuda/fattn.cu
    (``ggml_cuda_flash_attn_ext_get_alloc_size``)
    """
    if key.kind is not TensorType.F16:
        size = padded(size, 128) + 2 * key.count
    # A latent row's values are the first part of its keys, unless both were copied.
    same = value.is_view and value.root is key.root
    if value.kind is not TensorType.F16 and not same:
        size = padded(size, 128) + 2 * value.count
    return size
