"""Graphs of qwen3next, qwen35 and qwen35moe: gated delta nets, and every fourth layer attends.

https://github.com/ggml-org/llama.cpp/blob/master/src/models/qwen3next.cpp,
https://github.com/ggml-org/llama.cpp/blob/master/src/models/qwen35.cpp,
https://github.com/ggml-org/llama.cpp/blob/master/src/models/delta-net-base.cpp
"""

from vramline.fit.compute import graph as ops
from vramline.fit.compute.attention import Heads, attend, split_heads
from vramline.fit.compute.build import Build
from vramline.fit.compute.feed_forward import Experts, feed_forward, mixture, scaled_experts
from vramline.fit.compute.graph import F32, Node
from vramline.fit.compute.states import fetch_states, main_state, shift_state, store_snapshots


def delta(build: Build) -> None:
    """Build the graph."""
    hidden = build.embed()
    for at in range(len(build.shape.layers)):
        value = build.expand(build.norm("attn_norm", hidden, at))
        if build.layer(at).recurs:
            value = delta_net(build, at, value)
        else:
            value = gated_attention(build, at, value)
        middle = ops.add(value, hidden)
        value = feed(build, at, build.norm("post_attention_norm", middle, at))
        hidden = ops.add(value, middle)
    build.give_chosen(hidden)


def gated_attention(build: Build, at: int, hidden: Node) -> Node:
    """Return attention whose output is gated by a second half of the query."""
    layer, tokens = build.layer(at), build.batch.tokens
    dim = layer.head_dim_k
    both, key, value = split_heads(build, at, hidden, query_scale=2, split=False)
    if build.shape.architecture == "qwen3next":
        both = ops.reshape(both, dim * 2, layer.heads, tokens)
    shape, strides = (dim, layer.heads, tokens), (8 * dim, 8 * dim * layer.heads)
    query, gate = (ops.view(both, shape, *strides) for _ in range(2))
    query = build.rope(build.norm("attn_q_norm", query, at))
    key = build.norm("attn_k_norm", ops.reshape(key, dim, layer.kv_heads, tokens), at)
    value = ops.reshape(value, dim, layer.kv_heads, tokens)
    result = attend(build, at, Heads(query, build.rope(key), value), out=None)
    gate = ops.alike("SIGMOID", ops.cont(gate, dim * layer.heads, tokens))
    return build.project("attn_output", ops.mul(result, gate), at)


def mixed_inputs(build: Build, at: int, hidden: Node) -> tuple[Node, Node]:
    """Return queries, keys and values in one, and the gate of the output."""
    states, batch = build.shape.states, build.batch
    each, sequences = batch.tokens_each, batch.sequences
    if build.weight("attn_qkv.weight", at) is not None:
        mixed = build.project("attn_qkv", hidden, at)
        mixed = ops.reshape(mixed, mixed.lengths[0], each, sequences)
        return mixed, build.project("attn_gate", hidden, at)
    # Older files of qwen3next hold all four in one matrix, head by head.
    keys, dim = states.groups, states.state
    wide = states.inner // keys
    whole = build.project("ssm_in", hidden, at)
    whole = ops.reshape(whole, 2 * dim + 2 * wide, keys, each, sequences)
    parts = [
        ops.view(whole, (size, keys, each, sequences), *whole.strides[1:])
        for size in (dim, dim, wide, wide)
    ]
    gate = ops.cont(parts[3])
    flat = [
        ops.cont(part, size * keys, each, sequences)
        for part, size in zip(parts, (dim, dim, wide), strict=False)
    ]
    return ops.concat(ops.concat(flat[0], flat[1], 0), flat[2], 0), gate


def rates(build: Build, at: int, hidden: Node) -> tuple[Node, Node]:
    """Return how fast the state forgets, and how much it learns."""
    states, batch = build.shape.states, build.batch
    each, sequences, heads = batch.tokens_each, batch.sequences, states.time_step_rank
    if build.weight("ssm_ba.weight", at) is not None:
        keys = states.groups
        both = build.project("ssm_ba", hidden, at)
        both = ops.reshape(both, 2 * heads // keys, keys, each, sequences)
        shape = (heads // keys, keys, each, sequences)
        learned, forgotten = (ops.view(both, shape, *both.strides[1:]) for _ in range(2))
        beta = ops.reshape(ops.alike("SIGMOID", ops.cont(learned)), 1, heads, each, sequences)
        alpha = ops.cont(forgotten, heads, each, sequences)
    else:
        beta = ops.reshape(build.project("ssm_beta", hidden, at), 1, heads, each, sequences)
        beta = ops.alike("SIGMOID", beta)
        alpha = ops.reshape(build.project("ssm_alpha", hidden, at), heads, each, sequences)
    alpha = ops.alike("SOFTPLUS", ops.add(alpha, build.need("ssm_dt.bias", at)))
    gate = ops.mul(alpha, build.need("ssm_a", at))
    return ops.reshape(gate, 1, heads, each, sequences), beta


def seen_tokens(build: Build, at: int, mixed: Node) -> Node:
    """Return the last tokens with the new ones behind them, and keep the last of those."""
    states, batch = build.shape.states, build.batch
    channels = states.inner + 2 * states.groups * states.state
    length, sequences = states.conv - 1, batch.sequences
    kept = shift_state(build, at)
    before = ops.reshape(fetch_states(build, kept), length, channels, sequences)
    seen = ops.concat(before, ops.transpose(mixed), 0)
    for _ in range(1 + batch.state_snapshots):
        last = ops.view(seen, (length, channels, sequences), *seen.strides[1:3])
        place = ops.view(kept, (length * channels, sequences), kept.strides[1])
        build.expand(ops.copy_to(last, place))
    return seen


def delta_net(build: Build, at: int, hidden: Node) -> Node:
    """Return what a layer with a gated delta net makes of *hidden*."""
    states, batch = build.shape.states, build.batch
    each, sequences = batch.tokens_each, batch.sequences
    heads, keys, dim = states.time_step_rank, states.groups, states.state
    value_dim = states.inner // heads
    mixed, gate = mixed_inputs(build, at, hidden)
    forget, learn = rates(build, at, hidden)
    seen = seen_tokens(build, at, mixed)
    kept = main_state(build, at)
    state = ops.reshape(fetch_states(build, kept), value_dim, value_dim, heads, sequences)
    kernel = build.need("ssm_conv1d.weight", at)
    lengths = (kernel.lengths[1], each, sequences, 1)
    value = ops.alike("SILU", Node("SSM_CONV", F32, lengths, (seen, kernel)))
    row = 4 * (2 * dim * keys + value_dim * heads)
    shape = (dim, keys, each, sequences)
    query, key = (normed(ops.view(value, shape, 4 * dim, row, row * each)) for _ in range(2))
    shape = (value_dim, heads, each, sequences)
    content = ops.view(value, shape, 4 * value_dim, row, row * each)
    if keys != heads and build.shape.architecture == "qwen3next":
        query, key = spread(build, query), spread(build, key)
    result = recur(build, (query, key, content, forget, learn, state), kept)
    result = build.norm("ssm_norm", result, at)
    gate = ops.reshape(gate, value_dim, heads, each, sequences)
    result = ops.mul(result, ops.alike("SILU", gate))
    result = ops.reshape(result, value_dim * heads, each, sequences)
    result = build.project("ssm_out", result, at)
    return ops.reshape(result, build.shape.embedding_length, batch.tokens)


def normed(value: Node) -> Node:
    """Return vectors of length one."""
    return ops.scale(ops.alike("RMS_NORM", value))


def spread(build: Build, value: Node) -> Node:
    """Return every key head as often as there are value heads to it."""
    dim, keys, each, sequences = value.lengths
    times = build.shape.states.time_step_rank // keys
    apart = ops.reshape(value, dim, 1, keys, each * sequences)
    wide = ops.repeat(apart, dim, times, keys, each * sequences)
    return ops.reshape(wide, dim, keys * times, each, sequences)


def recur(build: Build, sources: tuple[Node, ...], kept: Node) -> Node:
    """Return the delta rule's output; the state that it ends in is kept."""
    content = sources[2]
    dim, heads, each, sequences = content.lengths
    snapshots = 1 + build.batch.state_snapshots
    rows = each * sequences + snapshots * dim * sequences
    result = Node("GATED_DELTA_NET", F32, (dim * heads, rows, 1, 1), sources)
    row = 4 * dim * heads
    output = ops.view(result, content.lengths, 4 * dim, row, row * each)
    if snapshots == 1:
        state = (dim, dim, heads, sequences)
        new = ops.view(result, state, 4 * dim, 4 * dim * dim, 4 * dim * dim * heads)
        place = ops.view(kept, (kept.lengths[0], sequences), kept.strides[1])
        build.expand(ops.copy_to(new, place))
    else:
        store_snapshots(build, result, kept, dim * dim * heads, snapshots)
    return output


def feed(build: Build, at: int, value: Node) -> Node:
    """Return a plain block's output, or what experts and a gated shared one make of it."""
    if build.weight("ffn_gate_inp.weight", at) is None:
        return feed_forward(build, at, value)
    result = mixture(build, at, value, Experts(scaled=scaled_experts(build)))
    if build.weight("ffn_up_shexp.weight", at) is None:
        return result
    shared = feed_forward(build, at, value, suffix="_shexp")
    gate = ops.alike("SIGMOID", build.project("ffn_gate_inp_shexp", value, at))
    return ops.add(result, ops.mul(shared, gate))
