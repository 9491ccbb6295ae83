"""What outlives the process: the offline queue, the read cache and the bookmark.

Everything here is synchronous and belongs to one thread, the worker's.
"""

from lunora_rx.storage.bundle import Storage, open_directory
from lunora_rx.storage.worker import StorageWorker

__all__ = ["Storage", "StorageWorker", "open_directory"]
