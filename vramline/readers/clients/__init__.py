"""Who uses a graphics card, and how much of it: what DRM's drivers tell of each client.

A client is what a program has opened when it opens a card's device file. Under
``/proc/PID/fdinfo`` the driver tells what each one holds and how long it has kept
each engine busy. https://docs.kernel.org/gpu/drm-usage-stats.html

Computing on AMD's cards by ROCm is told apart in ``kfd``, and ``owners`` makes
the processes of a reading from both.
"""

from vramline.readers.clients.client import Client, Usage
from vramline.readers.clients.clients import Clients
from vramline.readers.clients.kfd import kfd_memory
from vramline.readers.clients.owners import processes

__all__ = ["Client", "Clients", "Usage", "kfd_memory", "processes"]
