"""The memory that a model on an AMD card would be loaded into."""

from typing import Any

from vramline.readers.amd.files import Files
from vramline.readers.shared_memory import Pool, SharedMemory, room
from vramline.readings import Cause, MemoryBound, MemoryPool

Figures = dict[str, Any]


class Memory:
    """The pool of one card: its own memory, or on most APUs the host's.

    An APU's own memory is cut from the host's at boot. Where that is less than
    what the driver may map of the rest (GTT), the driver itself puts everything
    there, and so does ROCm: ``apu_prefer_gtt`` in
    https://github.com/torvalds/linux/blob/master/drivers/gpu/drm/amd/amdgpu/amdgpu_ttm.c
    The two are never added: with 96 GiB of each in a machine of 128 their sum
    would be more than there is.

    None of these files asks the hardware, and so none wakes it.

    Attributes:
        pool: Whose memory it is. Until it is known that the card is an APU's,
            the card's own.
    """

    def __init__(self, files: Files, shared: SharedMemory) -> None:
        self._files = files
        self._shared = shared
        self._is_chosen = False
        self.pool = MemoryPool.VRAM

    def regions(self) -> frozenset[str]:
        """Return what the driver calls the places whose content counts against the pool."""
        # An APU's programs find room in its own memory as well, before the rest.
        return frozenset({"vram"} if self.pool is MemoryPool.VRAM else {"vram", "gtt"})

    def figures(self, *, is_apu: bool) -> Figures:
        """Return the four figures, and whose memory they are of."""
        if is_apu and not self._is_chosen:
            self._choose()
        total = self._files.number(f"mem_info_{self.pool}_total", least=1)
        most = {} if isinstance(total, Cause) else {"most": total}
        used = self._files.number(f"mem_info_{self.pool}_used", **most)
        if self.pool is MemoryPool.VRAM:
            return _own(total, used)
        pool = Pool(kind=self.pool, total_bytes=total, used_bytes=used)
        return self._shared.figures({MemoryBound.GTT: room(total, used)}, pool=pool)

    def _choose(self) -> None:
        """Choose an APU's pool: for good, as both sizes are set when the driver is loaded."""
        vram, gtt = (
            self._files.number(f"mem_info_{pool}_total", least=1)
            for pool in (MemoryPool.VRAM, MemoryPool.GTT)
        )
        if isinstance(vram, Cause) or isinstance(gtt, Cause):
            return
        self.pool = MemoryPool.GTT if vram < gtt else MemoryPool.VRAM
        self._is_chosen = True


def _own(total: int | Cause, used: int | Cause) -> Figures:
    return {
        "memory_pool": MemoryPool.VRAM,
        "memory_total_bytes": total,
        "memory_used_bytes": used,
        "memory_free_bytes": room(total, used),
        "memory_free_bound_by": None,
        "memory_reserved_bytes": Cause.NOT_SUPPORTED,
    }
