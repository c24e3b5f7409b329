"""What this machine has: memory, an accelerator, number formats. Knows nothing about models."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Machine:
    """Memory in bytes; None where it cannot be found out, or where there is no accelerator."""

    free_ram: int | None
    total_ram: int | None
    accelerator: str | None = None
    free_vram: int | None = None
    total_vram: int | None = None
    has_fast_bf16: bool = False

    @classmethod
    def here(cls) -> Machine:
        """Look at this machine."""
        free_ram, total_ram = _ram()
        if not torch.cuda.is_available():
            return cls(free_ram, total_ram)
        free_vram, total_vram = torch.cuda.mem_get_info()
        return cls(
            free_ram,
            total_ram,
            accelerator=torch.cuda.get_device_name(),
            free_vram=free_vram,
            total_vram=total_vram,
            has_fast_bf16=torch.cuda.is_bf16_supported(including_emulation=False),
        )


def _ram() -> tuple[int | None, int | None]:
    """Return free and total main memory; psutil knows best, but it is not a requirement."""
    try:
        import psutil
    except ImportError:
        return _ram_from_sysconf()
    memory = psutil.virtual_memory()
    return memory.available, memory.total


def _ram_from_sysconf() -> tuple[int | None, int | None]:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows, macOS
        return None, None
