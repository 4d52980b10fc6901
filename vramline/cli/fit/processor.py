"""What the host's processor can do, as far as llama.cpp rearranges weights for it."""

from vramline.fit.settings import Processor
from vramline.machine import Machine

CPUINFO = "/proc/cpuinfo"

ABILITIES = (
    ({"avx512f"}, Processor.X86_AVX512),
    ({"avx2"}, Processor.X86),
    ({"asimddp"}, Processor.ARM),
)
"""What Linux calls them, the best first.
https://docs.kernel.org/arch/x86/cpuinfo.html, https://docs.kernel.org/arch/arm64/elf_hwcaps.html"""

ELSEWHERE = {"darwin": Processor.ARM, "win32": Processor.X86}
"""Where nobody was asked: what is sold there today. Intel's Macs are in the minority."""


def processor_of(machine: Machine) -> Processor:
    """Return what the machine's processor can do; where it does not tell, what most can."""
    try:
        text = machine.read(CPUINFO)
    except (OSError, ValueError):
        return ELSEWHERE.get(machine.platform, Processor.X86_AVX512)
    for line in text.splitlines():
        name, _, said = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            words = set(said.split())
            found = (processor for needed, processor in ABILITIES if needed <= words)
            return next(found, Processor.PLAIN)
    return Processor.X86_AVX512
