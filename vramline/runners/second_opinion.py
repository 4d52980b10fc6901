"""What llama.cpp's own ``llama-fit-params`` says a model needs, where it is installed.

https://github.com/ggml-org/llama.cpp/blob/master/tools/fit-params/README.md

It loads the drivers, and so wakes every GPU: it is run where a person asks for it. Weights that
are rearranged for the processor are not in its figures, nor is the output buffer.
"""

import re
from dataclasses import dataclass

from vramline.fit.settings import ALL_LAYERS, CELLS_PADDING, Settings, take_effect
from vramline.machine import Machine

PROGRAM = "llama-fit-params"
RUN_SECONDS = 30.0
"""It answers in some 30 ms; what takes longer are drivers, of which some take seconds to load."""

HOST_ROW = "Host"
MIB = 2**20
MANY_LAYERS = "999"

_ROW = re.compile(r"^(\S{1,60}) (\d{1,9}) (\d{1,9}) (\d{1,9}) ?\r?$", re.MULTILINE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """Of one device, or of the host; each figure is rounded down to a MiB.

    Attributes:
        place: As llama.cpp calls it: ``CUDA0``, or ``Host``.
    """

    place: str
    model_bytes: int
    context_bytes: int
    compute_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondOpinion:
    """What ``llama-fit-params`` said.

    Attributes:
        command: What was run, for a person to repeat.
        places: Empty where it failed.
        differs: What of the settings it could not be told.
        failure: Why there are no figures.
    """

    command: tuple[str, ...]
    places: tuple[Opinion, ...] = ()
    differs: tuple[str, ...] = ()
    failure: str | None = None


def second_opinion(machine: Machine, path: str, settings: Settings) -> SecondOpinion | None:
    """Return what it says of the model in a GGUF file, ``None`` where it is not installed."""
    from subprocess import SubprocessError

    try:
        program = machine.which(PROGRAM)
    except OSError:
        return None
    command = (program, "--model", path, "--fit-print", "on", *options(settings))
    differs = tuple(_differences(settings))
    try:
        output = machine.run(command, timeout_seconds=RUN_SECONDS)
    except (OSError, SubprocessError) as error:
        return SecondOpinion(command=command, differs=differs, failure=_failure(error))
    places = parse(output)
    why = None if places else f"{PROGRAM} printed nothing that could be read"
    return SecondOpinion(command=command, places=places, differs=differs, failure=why)


def parse(output: str) -> tuple[Opinion, ...]:
    """Return the rows that are printed, one a device and the host's last."""
    return tuple(
        Opinion(
            place=name,
            model_bytes=int(model) * MIB,
            context_bytes=int(context) * MIB,
            compute_bytes=int(compute) * MIB,
        )
        for name, model, context, compute in _ROW.findall(output)
    )


def options(settings: Settings) -> tuple[str, ...]:
    """Return the settings as llama.cpp's options, where this program takes them."""
    effect = take_effect(settings, trained_tokens=settings.context_tokens or CELLS_PADDING)
    shares = [f"{device.share:g}" for device in settings.devices]
    given = {
        "--ctx-size": settings.context_tokens,
        "--batch-size": settings.batch_tokens or settings.micro_batch_tokens,
        "--ubatch-size": settings.micro_batch_tokens or settings.batch_tokens,
        # One cache for all is as large as one sequence's of the same length.
        "--parallel": 1 if effect.unified else effect.sequences,
        "--flash-attn": settings.flash_attention.value,
        "--cache-type-k": settings.cache_type_k.value.lower(),
        "--cache-type-v": settings.cache_type_v.value.lower(),
        "--gpu-layers": _layers(settings),
        "--tensor-split": ",".join(shares) if len(shares) > 1 else None,
        "--device": None if settings.devices else "none",
        "--n-cpu-moe": _experts(settings),
    }
    flags = {
        "--cpu-moe": settings.host_expert_layers >= ALL_LAYERS,
        "--swa-full": settings.full_window_cache,
        "--no-kv-offload": not settings.cache_on_devices,
        "--no-repack": not settings.repack,
    }
    words = [word for name, said in given.items() if said is not None for word in (name, str(said))]
    return (*words, *(name for name, is_set in flags.items() if is_set))


def _layers(settings: Settings) -> str:
    if not settings.devices:
        return "0"
    return MANY_LAYERS if settings.device_layers >= ALL_LAYERS else str(settings.device_layers)


def _experts(settings: Settings) -> int | None:
    some = 0 < settings.host_expert_layers < ALL_LAYERS
    return settings.host_expert_layers if some else None


def _differences(settings: Settings) -> list[str]:
    effect = take_effect(settings, trained_tokens=settings.context_tokens or CELLS_PADDING)
    told = {
        "one cache for all sequences, whose sliding windows are larger": (
            effect.unified and effect.sequences > 1 and not settings.full_window_cache
        ),
        "how many tokens of a batch ask for logits": effect.outputs != effect.batch_tokens,
        "embeddings": settings.embeddings,
        "which devices: it takes all that it sees": bool(settings.devices),
    }
    return [what for what, is_so in told.items() if is_so]


def _failure(error: Exception) -> str:
    from subprocess import CalledProcessError, TimeoutExpired

    if isinstance(error, TimeoutExpired):
        return f"{PROGRAM} did not end within {RUN_SECONDS:g} seconds"
    if isinstance(error, CalledProcessError):
        said = [line for line in str(error.stderr or "").splitlines() if line.strip()]
        last = "".join(each for each in said[-1] if each.isprintable())[:200] if said else ""
        return f"{PROGRAM} failed with status {error.returncode}" + (f": {last}" if last else "")
    return f"{PROGRAM} could not be started: {error}"
