"""What a person is told of plans, refusals and needs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vramline.cli.words import CAUSES, printable, vendor_name
from vramline.fit.amounts import Amount, Part
from vramline.fit.plan.candidates import Candidate
from vramline.fit.plan.rooms import Room, Unused, WhyNot
from vramline.fit.plan.speed import Speed
from vramline.fit.plan.values import Change, ChangeKind, Holder, HolderKind
from vramline.fit.plan.wish import Placement
from vramline.fit.settings import ALL_LAYERS, HOST, Runner, Settings
from vramline.readings import Cause, GpuReading, Snapshot
from vramline.units import format_bytes

PARTS = {
    Part.WEIGHTS: "weights",
    Part.KV_CACHE: "context (KV cache)",
    Part.RECURRENT_STATE: "recurrent state",
    Part.COMPUTE: "computing",
    Part.OUTPUT: "output",
    Part.RUNTIME: "the runner itself",
    Part.PROMPT_CACHE: "earlier prompts",
}

RUNNERS = {
    Runner.LLAMA_SERVER: "llama-server",
    Runner.LLAMA_LIBRARY: "llama-cli",
    Runner.LLAMA_BENCH: "llama-bench",
    Runner.LLAMA_CPP_PYTHON: "llama-cpp-python",
    Runner.OLLAMA: "Ollama",
    Runner.LM_STUDIO: "LM Studio",
    Runner.VLLM: "vLLM",
    Runner.TRANSFORMERS: "transformers",
}

WHY_NOT = {
    WhyNot.OTHER_BACKEND: "{runner} here cannot use it",
    WhyNot.NOT_VISIBLE: "it is hidden from programs here",
    WhyNot.ASLEEP: "it is asleep, and was not woken to ask what is free",
    WhyNot.LOST: "it fell off the bus, or needs a reset",
    WhyNot.SUM_OF_DEVICES: "only all GPUs together are known",
    WhyNot.HAS_INSTANCES: "it is cut into instances",
    WhyNot.UNKNOWN_FREE: "what is free on it is not known",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What places are called on one page: short, and in full."""

    short: Mapping[str, str]
    full: Mapping[str, str]

    def of(self, place: str) -> str:
        """Return the short name."""
        return self.short.get(place) or printable(place)

    def in_full(self, place: str) -> str:
        """Return the short name with what the device is."""
        return self.full.get(place) or self.of(place)

    def in_text(self, place: str) -> str:
        """Return the short name as a sentence has it."""
        short = self.of(place)
        return f"the {short}" if short in ("host", "GPU") else short

    def in_text_in_full(self, place: str) -> str:
        """Return the same with what the device is."""
        return self.in_text(place).removesuffix(self.of(place)) + self.in_full(place)


def names_in(snapshot: Snapshot) -> Names:
    """Return what the places of a machine are called."""
    short, full = {HOST: "host"}, {HOST: "host"}
    only = len(snapshot.gpus) == 1
    numbers = [(gpu.index, gpu.parent_uid) for gpu in snapshot.gpus]
    for gpu in snapshot.gpus:
        name = "GPU" if only else f"{kind_of(gpu)} {gpu.index if gpu.index is not None else '-'}"
        if numbers.count((gpu.index, gpu.parent_uid)) > 1 or gpu.index is None:
            name = f"{vendor_name(gpu.vendor)} {name}"
        short[gpu.uid] = name
        full[gpu.uid] = f"{name} ({printable(gpu.name)})" if gpu.name else name
    return Names(short=short, full=full)


def kind_of(gpu: GpuReading) -> str:
    """Return what a device is."""
    return "MIG" if gpu.parent_uid else "GPU"


def size(amount: Amount) -> str:
    """Return an amount, with its bounds where they show."""
    bounds = [format_bytes(each) for each in (amount.low_bytes, amount.high_bytes)]
    shown = format_bytes(amount.bytes)
    return shown if set(bounds) == {shown} else f"{shown} ({' to '.join(bounds)})"


def count(number: int, what: str) -> str:
    """Return so many of something."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def context(tokens: int) -> str:
    """Return a context's length."""
    return f"a context of {count(tokens, 'token')}"


def kept_in(kinds: Iterable[str]) -> str:
    """Return what a context's cache is kept in, unless it is the usual."""
    found = listed(list(dict.fromkeys(kinds)))
    return "" if found == "F16" else f", its cache in {found}"


def parameters(number: int | None) -> str:
    """Return how large a model is, as people say it."""
    if not number:
        return ""
    for step, word in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million")):
        if number >= step:
            return f"{number / step:.3g} {word} parameters"
    return f"{number} parameters"


def devices_of(settings: Settings, names: Names) -> str:
    """Return the devices that layers are put on, in words."""
    return listed([names.in_text(device.uid) for device in settings.devices]) or "the GPU"


def listed(found: Sequence[str]) -> str:
    """Return several things as a sentence has them."""
    return f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else "".join(found)


def placed(
    settings: Settings, placement: Placement | None, candidate: Candidate, names: Names
) -> str:
    """Return where a model runs, in a sentence's words."""
    where, layers = devices_of(settings, names), candidate.blocks + 1
    if placement is Placement.HOST or not settings.devices or not settings.device_layers:
        return "on the processor"
    if placement is Placement.SHARED_DEVICE:
        return f"all of it on {where}, in memory that it shares with the host"
    if settings.host_expert_layers:
        many = min(settings.host_expert_layers, candidate.blocks)
        whose = "all" if many == candidate.blocks else f"{many} of {candidate.blocks}"
        return f"on {where}, but for the experts of {whose} layers, which stay on the host"
    if settings.device_layers < layers:
        return (
            f"{settings.device_layers} of {layers} layers on {where}, the others on the processor"
        )
    return f"all of it on {where}"


def placed_shortly(settings: Settings, candidate: Candidate, names: Names) -> str:
    """Return the same as it stands in a list."""
    layers = candidate.blocks + 1
    if not settings.devices or not settings.device_layers:
        return "CPU"
    where = " + ".join(names.of(device.uid) for device in settings.devices)
    if settings.host_expert_layers:
        many = min(settings.host_expert_layers, candidate.blocks)
        return f"{where}, experts of {count(many, 'layer')} on CPU"
    if settings.device_layers < min(layers, ALL_LAYERS):
        return f"{where} + {count(layers - settings.device_layers, 'layer')} on CPU"
    return where


def room_name(room: Room, names: Names) -> str:
    """Return what a room is called."""
    return names.in_text(HOST if HOST in room.places else room.places[0])


def speed(found: Speed | None) -> str:
    """Return how fast it goes, as far as that is known."""
    if found is None or found.high is None or found.low is None:
        return ""  # the devices alone would be fast: the less lies on them, the faster
    return f"{found.low:,.0f} to {found.high:,.0f} tokens a second"


def holder(found: Holder) -> str:
    """Return who holds memory."""
    who = printable(found.name or "a process")
    if found.pid is not None:
        who += f" (pid {found.pid})"
    return f"the loaded model {who}" if found.kind is HolderKind.LOADED_MODEL else who


def holding(found: Sequence[Holder], names: Names) -> str:
    """Return who holds memory where, and how much."""
    by_place: dict[str, list[str]] = {}
    for each in found:
        much = "some" if each.held_bytes is None else format_bytes(each.held_bytes)
        back = " (and can be unloaded)" if each.can_be_unloaded else ""
        by_place.setdefault(each.place, []).append(f"{holder(each)} holds {much}{back}")
    return ". ".join(f"On {names.in_text(place)}, {listed(who)}" for place, who in by_place.items())


def change(found: Change, names: Names) -> str:
    """Return what would make it fit, in words."""
    choice = found.choice
    slots = choice.settings.sequences or 1
    who = holder(found.holder) if found.holder else "that process"
    first = {
        ChangeKind.SHORTER_CONTEXT: f"{context(choice.context_tokens)} would fit",
        ChangeKind.CACHE_TYPE: f"a cache of type {choice.cache_type} would fit",
        ChangeKind.FEWER_SLOTS: f"with {count(slots, 'slot')} it would fit",
        ChangeKind.ON_HOST: "with a part of it on the processor it would fit",
        ChangeKind.SMALLER: f"{printable(choice.candidate.name)} would fit",
        ChangeKind.UNLOAD: f"it would fit if {who} were unloaded",
        ChangeKind.CLOSE: f"it would fit if {who} were closed",
    }[found.kind]
    return f"{first}: {placed(choice.settings, choice.placement, choice.candidate, names)}"


def left_out(found: Unused, names: Names, runner: Runner) -> str:
    """Return why a device is in no plan."""
    why = WHY_NOT[found.why].format(runner=RUNNERS[runner])
    if found.why is WhyNot.UNKNOWN_FREE and found.cause:
        why = f"{why}: {CAUSES[found.cause].format(device='GPU')}"
    return f"{names.in_full(found.uid)} is left out: {why}."


def not_known(place: str, names: Names, cause: Cause | None) -> str:
    """Return that nobody tells what is free in a place, and why."""
    why = f": {CAUSES[cause].format(device='GPU')}" if cause else ""
    return f"What is free on {names.in_text_in_full(place)} is not known{why}."
