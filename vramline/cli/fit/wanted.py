"""From what the user said, and what is here, to what is asked of a plan."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vramline.cli.fit.here import Here
from vramline.cli.fit.options import FitOptions
from vramline.cli.fit.subject import Subject
from vramline.errors import VramlineError
from vramline.fit.library import FileFormat, Source
from vramline.fit.ollama import Circumstances, ollama_settings
from vramline.fit.plan.flags import device_names
from vramline.fit.plan.rooms import drivers, is_shared, survey
from vramline.fit.plan.wish import LEAST_CONTEXT, Wish
from vramline.fit.settings import Backend, Device, FlashAttention, Runner, Settings, settings_of
from vramline.fit.tensor_types import TensorType
from vramline.readings import GpuReading

OWNERS = {Source.OLLAMA: Runner.OLLAMA, Source.LM_STUDIO: Runner.LM_STUDIO}
"""Who can run a model by its name there."""

FOR_GGUF = (
    Runner.LLAMA_SERVER,
    Runner.LLAMA_CPP_PYTHON,
    Runner.LLAMA_LIBRARY,
    Runner.LM_STUDIO,
    Runner.OLLAMA,
)
FOR_SAFETENSORS = (Runner.VLLM, Runner.TRANSFORMERS)

PLANNED = frozenset(
    (
        "context_tokens",
        "sequences",
        "cache_type_k",
        "cache_type_v",
        "device_layers",
        "host_expert_layers",
    )
)
"""What a plan says itself."""


class WrongUseError(VramlineError):
    """What was asked cannot be answered here. The message says why, and what would help."""


def runner_for(subject: Subject, here: Here, options: FitOptions) -> Runner:
    """Return what is to load a model: what was asked for, else what is installed."""
    if options.runner:
        check_format(subject, options.runner)
        return options.runner
    owner = OWNERS.get(subject.source)
    usual: tuple[Runner, ...] = ((owner,) if owner else ()) + FOR_GGUF
    if subject.format is FileFormat.SAFETENSORS:
        usual = FOR_SAFETENSORS
    # Where none is installed, the one that can run any file, and do most.
    last = Runner.TRANSFORMERS if subject.format is FileFormat.SAFETENSORS else Runner.LLAMA_SERVER
    return next((runner for runner in usual if runner in here.runners), last)


def check_format(subject: Subject, runner: Runner) -> None:
    """Refuse a runner that cannot read the model's files. Raises ``WrongUseError``."""
    if (subject.format is FileFormat.SAFETENSORS) is (runner in FOR_SAFETENSORS):
        return
    others = FOR_SAFETENSORS if subject.format is FileFormat.SAFETENSORS else FOR_GGUF
    raise WrongUseError(f"{runner} does not load {subject.format} files: --runner {others[0]} does")


def wish_for(options: FitOptions, here: Here, runner: Runner, trained: int | None) -> Wish:
    """Return what is wanted of a plan for models that *runner* loads."""
    slots = options.said.get("sequences") or 1
    usual = Wish(settings=base_settings(options, here, runner))
    installed = here.runners.get(runner)
    context: dict[str, Any] = {}
    if "context_tokens" in options.said:
        asked = options.said["context_tokens"]
        each = -(-asked // slots) if asked else (trained or 0)
        # What was said is not to be cut down; nothing said is as much as fits.
        context = {"context_tokens": each or None, "least_context_tokens": each or LEAST_CONTEXT}
    return replace(
        usual,
        **context,
        slots=slots,
        backends=installed.backends if installed else None,
        cache_types=cache_types(options, usual),
        device_keep_bytes=options.keep_free_bytes,
        host_keep_bytes=options.keep_host_bytes,
    )


def base_settings(options: FitOptions, here: Here, runner: Runner) -> Settings:
    """Return the settings that a plan leaves as they are."""
    kept = {name: value for name, value in options.said.items() if name not in PLANNED}
    return settings_of(runner, **{"processor": here.processor, **kept})


def cache_types(options: FitOptions, usual: Wish) -> tuple[TensorType, ...]:
    """Return what the cache may be kept in."""
    if "cache_type_k" in options.said:
        return (options.said["cache_type_k"],)
    if options.said.get("flash_attention") is FlashAttention.OFF:
        return usual.cache_types[:1]  # values of fewer bits need it
    return usual.cache_types


def exact_settings(options: FitOptions, here: Here, runner: Runner, wish: Wish) -> Settings:
    """Return the settings with what the user said, and the runner's own where nothing was.

    Raises ``WrongUseError`` for a device that there is not.
    """
    said = dict(options.said)
    if options.imagined is not None:
        devices = imagined_devices(options.imagined)
    elif options.devices is not None:
        devices = named_devices(options.devices, here, wish)
    else:
        devices = usual_devices(here, wish)
    if options.shares:
        if len(options.shares) != len(devices):
            raise WrongUseError(
                f"--tensor-split has {len(options.shares)} shares for {len(devices)} devices"
            )
        devices = tuple(
            replace(device, share=share)
            for device, share in zip(devices, options.shares, strict=True)
        )
    said = {"processor": here.processor, **said, "devices": devices}
    return replace(usual_settings(runner, here, devices), **said)


def usual_settings(runner: Runner, here: Here, devices: Sequence[Device]) -> Settings:
    """Return what *runner* takes where nobody says. Ollama's context follows the devices."""
    if runner is not Runner.OLLAMA:
        return settings_of(runner)
    totals = {gpu.uid: gpu.memory_total_bytes or 0 for gpu in here.snapshot.gpus}
    circumstances = Circumstances(
        devices=tuple(devices),
        device_bytes=sum(totals.get(device.uid, 0) for device in devices),
        windows=here.machine.platform == "win32",
    )
    return ollama_settings(circumstances, environment=here.machine.environ)


def imagined_devices(backends: Sequence[Backend]) -> tuple[Device, ...]:
    """Return the devices of a machine that is not this one: ``cuda0``, ``cuda1``."""
    return tuple(
        Device(uid=f"{backend}{backends[:at].count(backend)}", backend=backend)
        for at, backend in enumerate(backends)
    )


def usual_devices(here: Here, wish: Wish) -> tuple[Device, ...]:
    """Return what llama.cpp takes where nobody says: all, each by what is free on it.

    Those that share the host's memory are left out where there are others.
    https://github.com/ggml-org/llama.cpp/blob/master/src/llama.cpp
    """
    known = {each.uid: each for each in survey(here.snapshot, wish).devices}
    gpus = [gpu for gpu in here.snapshot.gpus if gpu.uid in known]
    own = [gpu for gpu in gpus if not is_shared(gpu)] or gpus[:1]
    return tuple(
        Device(uid=gpu.uid, backend=known[gpu.uid].backends[0], share=share_of(gpu, own))
        for gpu in own
    )


def share_of(gpu: GpuReading, gpus: Sequence[GpuReading]) -> float:
    """Return a device's part where nobody says: what is free on it, among several."""
    return float(gpu.memory_free_bytes or 0) if len(gpus) > 1 else 1.0


def named_devices(names: Sequence[str], here: Here, wish: Wish) -> tuple[Device, ...]:
    """Return the devices that were named: by number, uid, or as llama.cpp calls them."""
    gpus = [gpu_named(name, here) for name in names]
    found = []
    for name, gpu in zip(names, gpus, strict=True):
        backends = drivers(gpu, wish)
        if not backends:
            raise WrongUseError(f"--device {name}: {wish.settings.runner} here cannot use it")
        found.append(Device(uid=gpu.uid, backend=backends[0], share=share_of(gpu, gpus)))
    if len({device.uid for device in found}) < len(found):
        raise WrongUseError(f"--device {','.join(names)}: one of them is named twice")
    return tuple(found)


def gpu_named(name: str, here: Here) -> GpuReading:
    """Return the device that *name* means. Raises ``WrongUseError``."""
    called = device_names(here.snapshot)
    found = [
        gpu
        for gpu in here.snapshot.gpus
        if name in (gpu.uid, called.get(gpu.uid), gpu.pci_address)
        or (name == str(gpu.index) and gpu.parent_uid is None)
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(
        f"{'-' if gpu.index is None else gpu.index} ({gpu.uid})"
        for gpu in found or here.snapshot.gpus
    )
    problem = "may be one of" if found else "is not here: there is"
    raise WrongUseError(f"--device {name} {problem} {known or 'no GPU at all'}")
