"""Layers with a recurrent state: Mamba, Mamba 2, gated delta nets, short convolutions.

https://github.com/ggml-org/llama.cpp/blob/master/src/models/mamba-base.cpp,
https://github.com/ggml-org/llama.cpp/blob/master/src/models/delta-net-base.cpp,
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-graph.cpp (``build_rs``)
"""

from collections.abc import Callable

from vramline.fit.compute import graph as ops
from vramline.fit.compute.build import Build
from vramline.fit.compute.graph import F32, Node

Fetch = Callable[[Node, Node], Node]
"""From all states, and which of them the batch's sequences use."""


def shift_state(build: Build, at: int) -> Node:
    """Return the tensor that the last tokens are kept in."""
    rows = build.batch.all_sequences * (1 + build.batch.state_snapshots)
    return build.state("cache_r", at, F32, build.shape.states.shift_length, rows)


def main_state(build: Build, at: int) -> Node:
    """Return the tensor that the state itself is kept in."""
    rows = build.batch.all_sequences * (1 + build.batch.state_snapshots)
    return build.state("cache_s", at, F32, build.shape.states.state_length, rows)


def fetch_states(build: Build, kept: Node, fetch: Fetch = ops.rows) -> Node:
    """Return the batch's states; one is cleared first, and others are moved to their places."""
    length, rows = kept.lengths[:2]
    states = ops.reshape(kept, length, rows)
    cleared = ops.view(states, (length,))
    build.expand(
        Node("SCALE", F32, cleared.lengths, (cleared,), strides=cleared.strides, root=cleared.root)
    )
    result = build.expand(fetch(states, build.state_rows))
    others = build.batch.all_sequences - build.batch.sequences
    moved = ops.rows(states, build.other_state_rows)
    build.expand(ops.copy_to(moved, ops.view(kept, (length, others), kept.strides[1])))
    return result


def store(build: Build, value: Node, kept: Node, *lengths: int) -> None:
    """Write *value* over the first of *kept*."""
    if len(lengths) == 1:
        build.expand(ops.copy_to(value, ops.view(kept, lengths)))
    else:
        build.expand(ops.copy_to(value, ops.view(kept, lengths, kept.strides[1])))


def mamba(build: Build, at: int, hidden: Node) -> Node:
    """Return what a layer of the first Mamba makes of *hidden*."""
    states, batch = build.shape.states, build.batch
    each, sequences = batch.tokens_each, batch.sequences
    inner, length = states.inner, states.conv - 1
    shift = shift_state(build, at)
    before = ops.reshape(fetch_states(build, shift), length, inner, sequences)
    value = ops.reshape(hidden, hidden.lengths[0], each, sequences)
    both = build.project("ssm_in", value, at)
    half = (inner, *both.lengths[1:3])
    value, gate = (ops.view(both, half, *both.strides[1:3]) for _ in range(2))
    seen = ops.concat(before, ops.transpose(value), 0)
    last = ops.view(seen, (length, inner, sequences), *seen.strides[1:3])
    store(build, last, shift, length * inner * sequences)
    value = convolved(build, at, seen)
    split = ops.matmul(build.need("ssm_x.weight", at), value)
    step, mix_in, mix_out = mamba_parts(build, at, split)
    step = ops.add(ops.matmul(build.need("ssm_dt.weight", at), step), build.need("ssm_dt.bias", at))
    current, value = value, ops.reshape(value, 1, inner, each, sequences)
    decay = build.need("ssm_a", at)

    def scan(all_states: Node, indices: Node) -> Node:
        rows = ops.reshape(all_states, states.state, 1, inner, build.batch.all_sequences)
        return scanned(rows, value, step, decay, mix_in, mix_out, indices)

    kept = main_state(build, at)
    result = fetch_states(build, kept, scan)
    size = states.state * inner * sequences
    store(build, ops.view(result, (size,)), kept, size)
    result = ops.view(result, (inner, each, sequences), *value.strides[2:])
    result = ops.add(result, ops.mul(current, build.need("ssm_d", at)))
    result = ops.gated("SWIGLU", ops.cont(gate), result)
    result = build.project("ssm_out", result, at)
    return ops.reshape(result, result.lengths[0], batch.tokens)


def mamba_parts(build: Build, at: int, split: Node) -> tuple[Node, Node, Node]:
    """Return the step and the two mixtures that one product holds."""
    states, batch = build.shape.states, build.batch
    each, sequences = batch.tokens_each, batch.sequences
    step = ops.view(split, (states.time_step_rank, each, sequences), *split.strides[1:3])
    shape = (states.state, 1, each, sequences)
    strides = (states.state * 4, *split.strides[1:3])
    mixes = [ops.view(split, shape, *strides) for _ in range(2)]
    if build.keys.truth("ssm.dt_b_c_rms", absent=False) or build.weight("ssm_dt_norm.weight", at):
        names = ("ssm_dt_norm", "ssm_b_norm", "ssm_c_norm")
        normed = [
            build.norm(name, part, at) for name, part in zip(names, (step, *mixes), strict=True)
        ]
        return normed[0], normed[1], normed[2]
    return ops.cont(step), mixes[0], mixes[1]


def convolved(build: Build, at: int, seen: Node) -> Node:
    """Return the short convolution over the tokens seen, activated."""
    kernel = build.need("ssm_conv1d.weight", at)
    tokens = seen.lengths[0] - kernel.lengths[0] + 1
    value = Node("SSM_CONV", F32, (kernel.lengths[1], tokens, seen.lengths[2], 1), (seen, kernel))
    return ops.alike("SILU", build.biased("ssm_conv1d", value, at))


def scanned(rows: Node, value: Node, *others: Node, snapshots: int = 1) -> Node:
    """Return the scan: its output, and the new states behind it."""
    indices = others[-1]
    one, two, three, _ = rows.lengths
    count = value.count + snapshots * one * two * three * indices.lengths[0]
    return Node("SSM_SCAN", F32, (count, 1, 1, 1), (rows, value, *others))


def mamba2(build: Build, at: int, hidden: Node) -> Node:
    """Return what a layer of Mamba 2 makes of *hidden*."""
    states, batch = build.shape.states, build.batch
    each, sequences = batch.tokens_each, batch.sequences
    heads, length = states.time_step_rank, states.conv - 1
    dim, channels = states.inner // heads, states.inner + 2 * states.groups * states.state
    shift = shift_state(build, at)
    before = ops.reshape(fetch_states(build, shift), length, channels, sequences)
    whole = build.project("ssm_in", hidden, at)
    whole = ops.reshape(whole, whole.lengths[0], each, sequences)
    gate = ops.view(whole, (dim, heads, each, sequences), 4 * dim, *whole.strides[1:3])
    value = ops.view(whole, (channels, each, sequences), *whole.strides[1:3])
    step = ops.view(whole, (heads, each, sequences), *whole.strides[1:3])
    seen = ops.concat(before, ops.transpose(value), 0)
    for _ in range(min(each, 1 + batch.state_snapshots)):
        last = ops.view(seen, (length, channels, sequences), *seen.strides[1:3])
        store(build, last, shift, length * channels, sequences)
    value = convolved(build, at, seen)
    content = ops.view(value, (dim, heads, each, sequences), 4 * dim, *value.strides[1:3])
    shape = (states.state, states.groups, each, sequences)
    mixes = [ops.view(value, shape, 4 * states.state, *value.strides[1:3]) for _ in range(2)]
    step = ops.add(ops.cont(step), build.need("ssm_dt.bias", at))
    decay = build.need("ssm_a", at)
    kept = main_state(build, at)
    snapshots = 1 + batch.state_snapshots

    def scan(all_states: Node, indices: Node) -> Node:
        rows = ops.reshape(all_states, states.state, dim, heads, kept.lengths[1])
        return scanned(rows, content, step, decay, *mixes, indices, snapshots=snapshots)

    result = fetch_states(build, kept, scan)
    store_snapshots(build, result, kept, states.state * states.inner, snapshots)
    by_head = content.strides[1]
    strides = (by_head, heads * by_head, each * heads * by_head)
    result = ops.view(result, (dim, heads, each, sequences), *strides)
    result = ops.add(result, ops.mul(content, build.need("ssm_d", at)))
    result = ops.gated("SWIGLU", ops.cont(gate), result)
    if build.weight("ssm_norm.weight", at) is not None:
        groups = states.groups
        result = ops.reshape(result, states.inner // groups, groups, each, sequences)
        result = build.norm("ssm_norm", result, at)
    result = ops.reshape(result, states.inner, batch.tokens)
    return build.project("ssm_out", result, at)


def store_snapshots(build: Build, result: Node, kept: Node, length: int, snapshots: int) -> None:
    """Write the new states behind a scan's output over the kept ones."""
    sequences = build.batch.sequences
    written = min(build.batch.tokens_each, snapshots)
    shape = (length, sequences, written)
    new = ops.view(result, shape, 4 * length, 4 * length * sequences)
    place = ops.view(kept, shape, kept.strides[1], 4 * length * build.batch.all_sequences)
    build.expand(ops.copy_to(new, place))
