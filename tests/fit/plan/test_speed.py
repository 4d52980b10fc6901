import pytest

from tests.fit.made import EMBEDDING, layout, tensor
from tests.fit.plan.standin import dense, routed
from tests.fit.truth import layout_of
from vramline.fit.items import Layout
from vramline.fit.need import need_of
from vramline.fit.plan.candidates import candidate_of
from vramline.fit.plan.speed import Reads, Speed, reads_of, speed_of
from vramline.fit.settings import HOST, Device, Settings
from vramline.units import GIB, MIB

GPU = (Device(uid="gpu"),)
EMBEDDED = 2048000


def reads(of: Layout, settings: Settings) -> Reads:
    return reads_of(of, settings, need_of(of, settings))


def test_all_but_the_embedding_is_read_for_a_token_and_a_slots_cache() -> None:
    settings = Settings(context_tokens=16384, sequences=2, devices=GPU)

    assert reads(dense(), settings) == Reads(
        weights={"gpu": 4 * GIB + EMBEDDED, HOST: 0}, cached={"gpu": GIB}
    )


def test_an_embedding_that_is_the_output_too_is_read_where_the_output_lies() -> None:
    tied = layout("llama", 1, None, (EMBEDDING, tensor("blk.0.ffn_up.weight", 1024, 512)))

    assert reads(tied, Settings(devices=GPU)).weights == {"gpu": EMBEDDED + MIB, HOST: 0}
    assert reads(tied, Settings()).weights == {HOST: EMBEDDED + MIB}


@pytest.mark.parametrize("header", ["r-qwen3-30b-a3b.gguf", "r-phi3-mini.gguf", "s-gemma3.gguf"])
def test_what_a_candidate_says_it_reads_is_what_is_read_in_one_place(header: str) -> None:
    of = layout_of(header)
    read = candidate_of("any", of).read_bytes

    assert reads(of, Settings(devices=GPU)).weights == {"gpu": read, HOST: 0}
    assert reads(of, Settings()).weights == {HOST: read}


def test_layers_on_the_host_are_read_there() -> None:
    found = reads(dense(), Settings(context_tokens=8192, devices=GPU, device_layers=9))

    assert found.weights == {"gpu": GIB + EMBEDDED, HOST: 3 * GIB}
    assert found.cached == {"gpu": GIB // 4, HOST: 3 * GIB // 4}
    assert found.on_host == 15 * GIB // 4


def test_of_experts_only_those_that_a_token_uses_are_read() -> None:
    on_device = reads(routed(), Settings(devices=GPU))
    on_host = reads(routed(), Settings(devices=GPU, host_expert_layers=8))

    # Half a GiB of the rest, and two of eight experts, of 8 GiB.
    assert on_device.weights == {"gpu": 512 * MIB + 2 * GIB + EMBEDDED, HOST: 0}
    assert on_host.weights == {"gpu": 2 * GIB + EMBEDDED, HOST: 512 * MIB}


ALL_ON_ONE = Reads(weights={"gpu": 4 * 10**9, HOST: 0}, cached={"gpu": 10**9})


def test_a_full_context_is_the_slowest_and_an_empty_one_the_quickest() -> None:
    bandwidths = {"gpu": 500 * 10**9}
    high = 0.85 * 125

    # 10 ms at the peak with a full context, and what the layers take beside it.
    assert speed_of(ALL_ON_ONE, bandwidths, layers=0, routed=False) == Speed(low=27.0, high=high)
    assert speed_of(ALL_ON_ONE, bandwidths, layers=0, routed=True) == Speed(low=20.0, high=high)
    many = speed_of(ALL_ON_ONE, bandwidths, layers=500, routed=True)
    assert many == Speed(low=1 / 0.15, high=high)


def test_the_times_of_several_devices_add_up() -> None:
    both = Reads(weights={"a": 10**9, "b": 10**9}, cached={})

    speed = speed_of(both, {"a": 10**11, "b": 10**12}, layers=0, routed=False)

    assert speed is not None
    assert speed.low == pytest.approx(0.27 / 0.011)


def test_with_a_part_on_the_host_only_an_upper_bound_can_be_told() -> None:
    partly = Reads(weights={"gpu": 4 * 10**9, HOST: 10**9}, cached={})

    speed = speed_of(partly, {"gpu": 500 * 10**9}, layers=32, routed=False)

    assert speed == Speed(low=None, high=106.25)


@pytest.mark.parametrize("found", [ALL_ON_ONE, Reads(weights={HOST: 10**9}, cached={})])
def test_without_any_bandwidth_nothing_is_told(found: Reads) -> None:
    assert speed_of(found, {"gpu": None}, layers=32, routed=False) is None


@pytest.mark.parametrize(
    ("weights", "bandwidth", "layers", "measured"),
    [
        # Llama 7B Q4_0 on a P40, https://github.com/ggml-org/llama.cpp/pull/4766
        (3.56 * GIB, 346e9, 32, 56.79),
        # Llama 8B Q4_K_M on an RX 7900 XTX, https://github.com/ggml-org/llama.cpp/pull/26284
        (4.58 * GIB, 960e9, 32, 105.75),
        # The same on an RTX 3080, https://github.com/dmatora/LLM-inference-speed-benchmarks/issues/12
        (4.58 * GIB, 760e9, 32, 111.95),
        # Qwen 27B Q4_K_XL on an M4 Max, https://github.com/ggml-org/llama.cpp/issues/27525
        (17e9, 410e9, 64, 7.0),
        # TinyLlama 1.1B Q4_K_M on an M1 Ultra, an RTX 2080 Ti, an RTX 4090:
        # https://github.com/geerlingguy/ai-benchmarks/issues/48, 46 and 43
        (636.18 * MIB, 800e9, 22, 242.56),
        (636.18 * MIB, 616e9, 22, 424.32),
        (636.18 * MIB, 1008e9, 22, 762.37),
    ],
)
def test_what_was_measured_in_public_lies_within(
    weights: float, bandwidth: float, layers: int, measured: float
) -> None:
    assert within(weights, bandwidth, layers, measured, routed=False)


@pytest.mark.parametrize(
    ("active", "bits", "layers", "measured"),
    [
        # On a GTX 1080, each without and with CUDA's graphs:
        # https://github.com/ggml-org/llama.cpp/pull/27721
        (0.8e9, 4.85, 32, (81.2, 124.5)),  # granite-3.1-3b-a800m Q4_K_M
        (1.3e9, 6.56, 24, (52.7, 79.8)),  # Ling-3.0-tiny Q6_K
        (1.3e9, 4.85, 16, (150.5, 169.5)),  # OLMoE-1B-7B Q4_K_M
    ],
)
def test_so_does_what_was_measured_of_small_experts(
    active: float, bits: float, layers: int, measured: tuple[float, ...]
) -> None:
    for each in measured:
        assert within(active * bits / 8, 320e9, layers, each, routed=True)


def within(weights: float, bandwidth: float, layers: int, measured: float, *, routed: bool) -> bool:
    found = Reads(weights={"gpu": int(weights)}, cached={})
    speed = speed_of(found, {"gpu": int(bandwidth)}, layers=layers, routed=routed)
    assert speed is not None
    assert speed.low is not None
    assert speed.high is not None
    return speed.low < measured < speed.high
