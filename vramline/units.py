"""The only place that knows what a GiB is."""

KIB = 2**10
MIB = 2**20
GIB = 2**30

_STEPS = ((2**40, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"))


def to_gib(count_bytes: float) -> float:
    """Return *count_bytes* in GiB, 2**30 bytes (what most model files call GB)."""
    return count_bytes / GIB


def format_bytes(count_bytes: float) -> str:
    """Return *count_bytes* for a person: three or four significant figures and a binary unit."""
    for step, unit in _STEPS:
        if abs(count_bytes) >= step:
            return f"{count_bytes / step:.1f} {unit}"
    return f"{count_bytes:.0f} B"
