from dataclasses import replace

import pytest

from tests.fit.made import EMBEDDING, OUTPUT, layout, tensor
from tests.fit.truth import architectures, layout_of, runs_of
from vramline.fit.amounts import Amount, Part
from vramline.fit.buffers import BUFFERS, HOST_BUFFER
from vramline.fit.items import Layout
from vramline.fit.model import Tensor, Value
from vramline.fit.need import MemoryNeed, need_of
from vramline.fit.settings import (
    ALL_LAYERS,
    HOST,
    Backend,
    Device,
    Processor,
    Settings,
)
from vramline.fit.tensor_types import TensorType

GPU = Device(uid="gpu")
TWO = (Device(uid="a"), Device(uid="b"))
ON_GPU = Settings(devices=(GPU,))
EMBEDDED = 2 * 1024 * 1000
"""The bytes of ``EMBEDDING``, and of ``OUTPUT``."""


def weights(need: MemoryNeed) -> dict[str, int]:
    """What the weights take in each place."""
    places = dict.fromkeys(item.place for item in need.items if item.part is Part.WEIGHTS)
    return {
        place: sum(
            item.amount.bytes
            for item in need.items
            if item.part is Part.WEIGHTS and item.place == place
        )
        for place in places
    }


def blocks(count: int, *, experts: bool = False) -> tuple[Tensor, ...]:
    """One matrix of a mebibyte and one norm of a kibibyte a block, and two MiB of experts."""
    every: list[Tensor] = []
    for block in range(count):
        every.append(tensor(f"blk.{block}.attn_q.weight", 1024, 512))
        every.append(tensor(f"blk.{block}.attn_norm.weight", 256, kind=TensorType.F32))
        if experts:
            every.append(tensor(f"blk.{block}.ffn_up_exps.weight", 1024, 256, 4))
    return tuple(every)


BLOCK = 2**20 + 2**10
EXPERTS = 2**21


def four(architecture: str = "llama", *extra: Tensor, **keys: Value) -> Layout:
    """A model of four such blocks."""
    return layout(architecture, 4, keys, (EMBEDDING, OUTPUT, *blocks(4), *extra))


@pytest.mark.parametrize("architecture", architectures())
def test_weights_are_exact_in_every_place_of_every_run(architecture: str) -> None:
    told, true = {}, {}
    for run in runs_of(architecture):
        need = need_of(layout_of(run.header), run.settings)
        places = weights(need)
        told[run.row] = [places.get(place, 0) for place in (HOST, "dev0", "dev1")]
        true[run.row] = [
            run.bytes("weights_cpu", "weights_cpu_repack", "weights_cuda_host"),
            run.bytes("weights_dev0"),
            run.bytes("weights_dev1"),
        ]

    assert told == true


@pytest.mark.parametrize("architecture", architectures())
def test_rearranged_weights_are_exact_in_every_run(architecture: str) -> None:
    told = {}
    for run in runs_of(architecture):
        items = need_of(layout_of(run.header), run.settings).items
        told[run.row] = sum(item.amount.bytes for item in items if "repack" in item.rule)

    assert told == {run.row: run.bytes("weights_cpu_repack") for run in runs_of(architecture)}


def test_all_weights_of_every_run_are_exact_and_told_so() -> None:
    ranged = [
        run.row
        for architecture in architectures()
        for run in runs_of(architecture)
        if not need_of(layout_of(run.header), run.settings).of(Part.WEIGHTS).exact
    ]

    assert ranged == []


def test_the_embedding_stays_on_the_host() -> None:
    assert weights(need_of(four(), ON_GPU)) == {HOST: EMBEDDED, "gpu": EMBEDDED + 4 * BLOCK}


def test_a_device_takes_the_output_layer_and_then_blocks_from_the_last() -> None:
    need = need_of(four(), replace(ON_GPU, device_layers=3))

    assert weights(need) == {HOST: EMBEDDED + 2 * BLOCK, "gpu": EMBEDDED + 2 * BLOCK}


def test_a_device_may_take_the_output_layer_alone() -> None:
    need = need_of(four(), replace(ON_GPU, device_layers=1))

    assert weights(need) == {HOST: EMBEDDED + 4 * BLOCK, "gpu": EMBEDDED}


def test_fewer_layers_than_none_are_all_of_them() -> None:
    assert need_of(four(), replace(ON_GPU, device_layers=-1)) == need_of(four(), ON_GPU)


def test_two_devices_share_the_layers_by_their_shares() -> None:
    shares = (replace(TWO[0], share=3.0), replace(TWO[1], share=1.0))

    need = need_of(four(), Settings(devices=shares))

    assert weights(need) == {HOST: EMBEDDED, "a": 4 * BLOCK, "b": EMBEDDED}


def test_a_device_without_a_share_takes_nothing() -> None:
    shares = (replace(TWO[0], share=0.0), TWO[1])

    need = need_of(four(), Settings(devices=shares))

    assert weights(need) == {HOST: EMBEDDED, "b": EMBEDDED + 4 * BLOCK}


def test_a_share_below_zero_is_none() -> None:
    shares = (replace(TWO[0], share=-1.0), TWO[1])

    need = need_of(four(), Settings(devices=shares))

    assert weights(need) == {HOST: EMBEDDED, "b": EMBEDDED + 4 * BLOCK}


def test_a_tied_embedding_is_copied_to_the_device() -> None:
    tied = layout("llama", 4, None, (EMBEDDING, *blocks(4)))

    assert weights(need_of(tied, ON_GPU)) == {HOST: EMBEDDED, "gpu": EMBEDDED + 4 * BLOCK}
    assert weights(need_of(tied, Settings())) == {HOST: EMBEDDED + 4 * BLOCK}


def test_a_model_for_embeddings_has_no_output_layer_to_copy_it_for() -> None:
    bert = layout("bert", 4, None, (EMBEDDING, *blocks(4)))

    assert weights(need_of(bert, ON_GPU)) == {HOST: EMBEDDED, "gpu": 4 * BLOCK}


def test_a_tied_embedding_is_on_the_host_twice_if_it_is_rearranged() -> None:
    matrix = tensor("token_embd.weight", 1024, 1000, kind=TensorType.Q4_K)
    size = 144 * 4 * 1000
    tied = layout("llama", 4, None, (matrix, *blocks(4)))

    need = need_of(tied, Settings())

    assert weights(need) == {HOST: 2 * size + 4 * BLOCK}
    assert need.file_cache_bytes == 0
    assert weights(need_of(tied, Settings(repack=False))) == {HOST: size + 4 * BLOCK}


def test_rows_that_are_no_multiple_of_eight_are_not_rearranged() -> None:
    matrix = tensor("token_embd.weight", 1024, 1001, kind=TensorType.Q4_K)
    tied = layout("llama", 4, None, (matrix, *blocks(4)))

    assert weights(need_of(tied, Settings())) == {HOST: 144 * 4 * 1001 + 4 * BLOCK}


def quantised(kind: TensorType) -> Layout:
    """A model with a matrix of *kind*, a stack of them that is no experts', and experts."""
    return layout(
        "deepseek2",
        1,
        None,
        (
            EMBEDDING,
            OUTPUT,
            tensor("blk.0.attn_q.weight", 1024, 512, kind=kind),
            tensor("blk.0.attn_v_b.weight", 1024, 512, 4, kind=kind),
            tensor("blk.0.ffn_up_exps.weight", 1024, 256, 4, kind=kind),
        ),
    )


@pytest.mark.parametrize(
    ("processor", "kind", "matrices"),
    [
        (Processor.X86, TensorType.Q4_K, 1536),
        (Processor.X86, TensorType.MXFP4, 1536),
        (Processor.X86, TensorType.Q2_K, 0),
        (Processor.X86_AVX512, TensorType.Q2_K, 1536),
        (Processor.X86_AVX512, TensorType.Q6_K, 0),
        (Processor.ARM, TensorType.Q6_K, 1536),
        (Processor.ARM, TensorType.Q2_K, 0),
        (Processor.PLAIN, TensorType.Q4_0, 0),
    ],
)
def test_processors_want_matrices_of_some_types_rearranged(
    processor: Processor, kind: TensorType, matrices: int
) -> None:
    need = need_of(quantised(kind), Settings(processor=processor))

    assert need.file_cache_bytes == matrices * kind.row_bytes(1024)


def test_what_is_rearranged_is_no_longer_the_files() -> None:
    need = need_of(quantised(TensorType.Q4_K), Settings())
    sizes = [(item.mapped, item.amount.bytes) for item in need.items if item.part is Part.WEIGHTS]

    rows = 2 * EMBEDDED + 2048 * 576
    assert sizes == [(True, rows), (False, 1536 * 576)]


def test_pinned_memory_takes_what_would_be_rearranged() -> None:
    settings = Settings(devices=(GPU,), device_layers=0)
    metal = replace(settings, devices=(Device(uid="gpu", backend=Backend.METAL),))

    assert need_of(quantised(TensorType.Q4_K), settings).file_cache_bytes == 0
    assert need_of(quantised(TensorType.Q4_K), metal).file_cache_bytes == 1536 * 576


def test_experts_of_the_first_layers_may_stay_on_the_host() -> None:
    model = layout("qwen3moe", 4, None, (EMBEDDING, OUTPUT, *blocks(4, experts=True)))

    assert weights(need_of(model, replace(ON_GPU, host_expert_layers=1))) == {
        HOST: EMBEDDED + EXPERTS,
        "gpu": EMBEDDED + 4 * BLOCK + 3 * EXPERTS,
    }
    assert weights(need_of(model, replace(ON_GPU, host_expert_layers=ALL_LAYERS))) == {
        HOST: EMBEDDED + 4 * EXPERTS,
        "gpu": EMBEDDED + 4 * BLOCK,
    }
    half = replace(ON_GPU, device_layers=3, host_expert_layers=3)
    assert weights(need_of(model, half)) == {
        HOST: EMBEDDED + 2 * BLOCK + 3 * EXPERTS,
        "gpu": EMBEDDED + 2 * BLOCK + EXPERTS,
    }


def test_biases_of_experts_go_with_them() -> None:
    bias = tensor("blk.0.ffn_gate_exps.bias", 1024, 4, kind=TensorType.F32)

    need = need_of(
        four("gpt-oss", bias, **{"attention.sliding_window": 128}),
        replace(ON_GPU, host_expert_layers=ALL_LAYERS),
    )

    assert weights(need) == {HOST: EMBEDDED + 4 * 4096, "gpu": EMBEDDED + 4 * BLOCK}


def test_every_place_has_a_copy_of_the_rope_factors() -> None:
    factors = tensor("rope_freqs.weight", 32, kind=TensorType.F32)

    half = need_of(four("llama", factors), replace(ON_GPU, device_layers=3))
    two = need_of(four("llama", factors), Settings(devices=TWO))

    assert weights(half) == {
        HOST: EMBEDDED + 2 * BLOCK + 128,
        "gpu": EMBEDDED + 2 * BLOCK + 128,
    }
    assert weights(two) == {
        HOST: EMBEDDED,
        "a": 3 * BLOCK + 128,
        "b": EMBEDDED + BLOCK + 128,
    }


def test_only_gemma4s_full_layers_use_its_rope_factors() -> None:
    factors = tensor("rope_freqs.weight", 32, kind=TensorType.F32)
    windows: dict[str, Value] = {
        "attention.sliding_window": 512,
        "attention.sliding_window_pattern": (True, True, True, False),
    }

    need = need_of(four("gemma4", factors, **windows), Settings(devices=TWO))

    assert weights(need) == {HOST: EMBEDDED, "a": 3 * BLOCK, "b": EMBEDDED + BLOCK + 128}

    windows["attention.sliding_window_pattern"] = (False, True, True, True)
    need = need_of(four("gemma4", factors, **windows), Settings(devices=TWO))
    assert weights(need) == {HOST: EMBEDDED, "a": 3 * BLOCK + 128, "b": EMBEDDED + BLOCK}


def test_gemma3ns_embedding_a_layer_stays_and_its_projection_goes_with_the_first_block() -> None:
    model = four(
        "gemma3n",
        tensor("per_layer_token_embd.weight", 256, 1000),
        tensor("per_layer_model_proj.weight", 1024, 1024),
        tensor("per_layer_proj_norm.weight", 256, kind=TensorType.F32),
        tensor("altup_proj.weight", 1024, 1024, 3),
        **{"attention.sliding_window": 512},
    )
    first, altup, rows = 2 * 1024 * 1024 + 1024, 6 * 2**20, 2 * 256 * 1000

    assert weights(need_of(model, ON_GPU)) == {
        HOST: EMBEDDED + rows,
        "gpu": EMBEDDED + 4 * BLOCK + first + altup,
    }
    half = need_of(model, replace(ON_GPU, device_layers=2))
    assert weights(half) == {
        HOST: EMBEDDED + rows + 3 * BLOCK + first,
        "gpu": EMBEDDED + BLOCK + altup,
    }
    assert half.of(Part.WEIGHTS).exact


@pytest.mark.parametrize("architecture", ["gemma3n", "gemma4"])
def test_gemmas_embedding_is_there_twice_unless_both_are_pages_of_the_file(
    architecture: str,
) -> None:
    keys: dict[str, Value] = {"attention.sliding_window": 512}
    model = layout(architecture, 4, keys, (EMBEDDING, *blocks(4)))

    assert weights(need_of(model, Settings())) == {HOST: EMBEDDED + 4 * BLOCK}
    assert weights(need_of(model, Settings(map_file=False))) == {HOST: 2 * EMBEDDED + 4 * BLOCK}
    assert weights(need_of(model, replace(ON_GPU, map_file=False))) == {
        HOST: EMBEDDED,
        "gpu": EMBEDDED + 4 * BLOCK,
    }


def test_the_first_norm_goes_with_the_first_block_but_lfm2s_is_the_outputs() -> None:
    norm = tensor("token_embd_norm.weight", 1024, kind=TensorType.F32)
    last = replace(ON_GPU, device_layers=1)

    assert weights(need_of(four("rwkv7", norm), last))["gpu"] == EMBEDDED
    assert weights(need_of(four("lfm2", norm), last))["gpu"] == EMBEDDED + 4096


def test_blocks_that_predict_further_tokens_are_not_loaded_but_counted() -> None:
    model = four("glm4moe", nextn_predict_layers=1)

    assert weights(need_of(model, Settings())) == {HOST: 2 * EMBEDDED + 3 * BLOCK}
    assert weights(need_of(model, replace(ON_GPU, device_layers=3))) == {
        HOST: EMBEDDED + 2 * BLOCK,
        "gpu": EMBEDDED + BLOCK,
    }


def test_a_block_that_the_model_does_not_have_is_not_loaded() -> None:
    model = four("llama", tensor("blk.999999999.attn_q.weight", 1024, 512))

    assert weights(need_of(model, Settings())) == {HOST: 2 * EMBEDDED + 4 * BLOCK}


def test_cuda_pads_a_quantised_tensors_last_row_to_512_elements() -> None:
    buffer = BUFFERS[Backend.CUDA].plain

    assert buffer.tensor_bytes(TensorType.Q8_0, 512, 10) == 5504  # 5440, to 128
    assert buffer.tensor_bytes(TensorType.Q8_0, 576, 10) == 6656  # 6120 and 448 elements' 476
    assert buffer.tensor_bytes(TensorType.F16, 576, 10) == 11520
    assert HOST_BUFFER.tensor_bytes(TensorType.Q8_0, 576, 10) == 6144


def test_what_vulkan_pads_to_is_the_devices_own() -> None:
    need = need_of(four(), Settings(devices=(Device(uid="gpu", backend=Backend.VULKAN),)))
    amount = next(item.amount for item in need.items if item.place == "gpu")

    assert amount == Amount(
        bytes=EMBEDDED + 4 * BLOCK,
        low_bytes=EMBEDDED + 4 * BLOCK,
        high_bytes=EMBEDDED + 4 * BLOCK,
    )
    odd = four("llama", tensor("output_norm.weight", 100, kind=TensorType.F32))
    need = need_of(odd, Settings(devices=(Device(uid="gpu", backend=Backend.VULKAN),)))
    amount = next(item.amount for item in need.items if item.place == "gpu")
    assert (amount.bytes, amount.high_bytes) == (
        EMBEDDED + 4 * BLOCK + 400,
        EMBEDDED + 4 * BLOCK + 512,
    )
