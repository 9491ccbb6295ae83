"""Typed references from an OpenRPC document: what ``lunora-rx codegen`` writes.

Source: ``docs/protocol.md``, section "OpenRPC document"; ``docs/codegen.md`` says what comes of it.
"""

from lunora_rx.codegen.document import DocumentError
from lunora_rx.codegen.module import generate

__all__ = ["DocumentError", "generate"]
