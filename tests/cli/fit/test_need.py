"""The figures that anybody can compare with a runner's log, by the flags that it was given."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.fit.machines import NO_CARD, ask, recording
from tests.fit.truth import Run, header_path, runs

# Every twelfth of those on devices, and some of those without.
CHOSEN = [run for run in runs() if run.tier == "gpu"][::12] + list(runs())[::60]


def flags(run: Run) -> list[str]:
    """Return how that row's model was loaded, as the command is told it."""
    row = run.columns
    said = {
        "--ctx-size": row["set_n_ctx"],
        "--batch-size": row["set_n_batch"],
        "--ubatch-size": row["set_n_ubatch"],
        "--parallel": row["set_n_seq"],
        "--flash-attn": row["set_fa"],
        "--cache-type-k": row["set_ctk"],
        "--cache-type-v": row["set_ctv"],
        "--gpu-layers": row["set_ngl"],
        # llama-server's own is one a slot; the rows are the library's.
        "--outputs": row["set_n_outputs_max"] if row["set_n_outputs_max"] != "0" else "2048",
        "--on": ",".join(["cuda"] * int(row["set_devices"])) or "none",
    }
    is_set = {
        "--kv-unified": row["set_kv_unified"] == "1",
        "--no-kv-unified": row["set_kv_unified"] == "0",
        "--swa-full": row["set_swa_full"] == "1",
        "--no-mmap": row["set_load"] != "mmap",
        "--no-repack": row["set_repack"] == "0",
        "--embeddings": row["set_embeddings"] == "1",
        "--cpu-moe": row["set_cpu_moe"] == "1",
        "--no-kv-offload": row["set_offload_kqv"] == "0",
    }
    words = [word for name, value in said.items() for word in (name, value)]
    return [*words, *(name for name, given in is_set.items() if given)]


@pytest.mark.parametrize("run", CHOSEN, ids=lambda run: f"{run.row}-{run.model}")
def test_the_flags_give_the_measured_bytes(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(header_path(run.header))

    status, output, errors = ask(
        capsys, recording(tmp_path), NO_CARD, "fit", path, "--json", *flags(run)
    )

    sizes: Counter[tuple[str, str]] = Counter()
    for item in json.loads(output)["need"]["items"]:
        if item["low_bytes"] == item["high_bytes"]:
            sizes[item["part"], item["place"]] += item["bytes"]
    assert (status, errors) == (0, "")
    assert sizes["kv_cache", "cuda0"] + sizes["recurrent_state", "cuda0"] == run.bytes(
        "context_dev0"
    )
    assert sizes["kv_cache", "cuda1"] + sizes["recurrent_state", "cuda1"] == run.bytes(
        "context_dev1"
    )
    assert sizes["kv_cache", "host"] + sizes["recurrent_state", "host"] == run.bytes("context_host")
    assert sizes["weights", "cuda0"] == run.bytes("weights_dev0")
