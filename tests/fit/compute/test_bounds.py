"""The closed form against the replay, under settings that nobody measured."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fit.truth import DEVICES, further_runs, layout_of, runs
from vramline.fit.compute.bounds import compute_bounds
from vramline.fit.compute.items import compute_items
from vramline.fit.need import need_of
from vramline.fit.settings import ALL_LAYERS, HOST, FlashAttention, Settings
from vramline.fit.tensor_types import TensorType


@cache
def small_headers() -> list[str]:
    """Return one header an architecture, of the models that were scaled down."""
    by_architecture = {run.architecture: run.header for run in runs() if run.model[:2] == "s-"}
    return sorted(by_architecture.values())


CACHES = [TensorType.F16, TensorType.F32, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_0]

ANY_SETTINGS = st.builds(
    Settings,
    context_tokens=st.integers(1, 65536),
    batch_tokens=st.integers(1, 2048),
    micro_batch_tokens=st.integers(1, 1024),
    sequences=st.integers(1, 5),
    unified_cache=st.booleans(),
    full_window_cache=st.booleans(),
    embeddings=st.booleans(),
    flash_attention=st.sampled_from(FlashAttention),
    cache_type_k=st.sampled_from(CACHES),
    cache_type_v=st.sampled_from(CACHES),
    devices=st.sampled_from([(), DEVICES[:1], DEVICES]),
    device_layers=st.sampled_from([0, 1, 4, 8, ALL_LAYERS]),
    host_expert_layers=st.sampled_from([0, 0, 2, ALL_LAYERS]),
    cache_on_devices=st.booleans(),
)


COLUMNS = {HOST: "compute_host", "dev0": "compute_dev0", "dev1": "compute_dev1"}


def test_the_bounds_enclose_every_measured_run() -> None:
    outside = [
        (run.model, run.columns["setting"], item)
        for run in (*runs(), *further_runs())
        for item in compute_bounds(layout_of(run.header), run.settings)
        if not item.amount.low_bytes <= run.bytes(COLUMNS[item.place]) <= item.amount.high_bytes
    ]

    assert outside == []


@settings(deadline=None, max_examples=60)
@given(header=st.sampled_from(small_headers()), some=ANY_SETTINGS)
def test_the_bounds_enclose_the_replay(header: str, some: Settings) -> None:
    layout = layout_of(header)
    if need_of(layout, some).refusal:
        return

    outside = [
        (item, bounds)
        for item, bounds in zip(
            compute_items(layout, some), compute_bounds(layout, some), strict=True
        )
        if not bounds.amount.low_bytes <= item.amount.bytes <= bounds.amount.high_bytes
    ]

    assert outside == []


def test_caches_that_are_copied_to_the_host_for_every_layer_are_allowed_for() -> None:
    layout = layout_of("r-phi3-mini.gguf")
    some = Settings(
        context_tokens=8192,
        flash_attention=FlashAttention.ON,
        cache_type_k=TensorType.IQ4_NL,
        devices=DEVICES,
    )

    taken, bounds = compute_items(layout, some)[0].amount, compute_bounds(layout, some)[0].amount

    # Each of 32 layers' caches, as often as batches are worked on at once.
    assert bounds.high_bytes > taken.bytes == 9124765696 > bounds.low_bytes


@given(header=st.sampled_from(small_headers()), some=ANY_SETTINGS)
def test_bounds_are_in_order(header: str, some: Settings) -> None:
    for item in compute_bounds(layout_of(header), some):
        assert 0 <= item.amount.low_bytes <= item.amount.bytes <= item.amount.high_bytes
