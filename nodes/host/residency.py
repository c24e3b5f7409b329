"""Gives the most used experts the room that the host has left, where not all of them fit.

The host's own patcher would bring some layers whole and stream the others. Here every layer keeps
some experts on the device; the others rest in main memory, which the host pins, and are copied
when a token asks for them.
"""

import comfy.model_management
import comfy.model_patcher
import torch

from ...ming_core import Experts, LoadedModel, MingError, give_slots, slots_within

MARGIN = 0.05  # of the room stays free at first; slots are kept while they fit at all
GROWTH = 1.1  # room for fewer slots more is not worth starting from empty ones


class ExpertPatcher(comfy.model_patcher.ModelPatcher):
    """A patcher that meets a room too small for its model with slots for experts."""

    _num_slots = 0
    _slot_bytes = 0

    def loaded_size(self) -> int:
        """Return the bytes on the device: whole layers, or slots."""
        return super().loaded_size() + self._slot_bytes

    def partially_load(
        self, device_to: torch.device, extra_memory: float = 0, force_patch_weights: bool = False
    ) -> int:
        """Take so many bytes more (or fewer) of the device; return how many were taken."""
        before = self.loaded_size()
        room = before + extra_memory
        if room >= self.model_size():
            self._give(0)
            super().partially_load(device_to, room - super().loaded_size(), force_patch_weights)
        elif super().loaded_size() > 0:
            self.partially_unload(self.offload_device, before - room)
        else:
            super().partially_load(device_to, 0.1)  # brings nothing; marks and pins everything
            self._give(room)
        return self.loaded_size() - before

    def partially_unload(
        self, device_to: torch.device, memory_to_free: float = 0, force_patch_weights: bool = False
    ) -> int:
        """Give back so many bytes at least; return how many."""
        before = self.loaded_size()
        if super().loaded_size() > 0:
            super().partially_unload(device_to, self.model_size(), force_patch_weights)
        self._give(before - memory_to_free)
        return before - self.loaded_size()

    def unpatch_model(
        self, device_to: torch.device | None = None, unpatch_weights: bool = True
    ) -> None:
        """Let go of the device, unless only patches are looked after."""
        if unpatch_weights:
            self._give(0)
        super().unpatch_model(device_to, unpatch_weights)

    def _give(self, room: float) -> None:
        layers = [module for module in self.model.modules() if isinstance(module, Experts)]
        wanted, present = slots_within(layers, room * (1 - MARGIN)), self._num_slots
        if present <= wanted < present * GROWTH or wanted < present <= slots_within(layers, room):
            return
        self._slot_bytes, self._num_slots = 0, 0
        try:
            self._slot_bytes = give_slots(layers, wanted, self.load_device)
        except BaseException:  # or some layers would keep slots that the host knows nothing of
            give_slots(layers, 0, self.load_device)
            raise
        self._num_slots = wanted


def refuse_streamed(engine: LoadedModel) -> None:
    """Raise when what a token reads many times was left off a device that is too small.

    Hosts that were started to keep weights off the device may do so.
    """
    mm = comfy.model_management
    is_wanted = mm.vram_state in (mm.VRAMState.LOW_VRAM, mm.VRAMState.NO_VRAM)
    hot = engine.hot
    if is_wanted or hot is None:
        return
    if all(p.device.type == engine.device.type for p in hot.parameters()):
        return
    steady = [m for name in engine.steady for m in engine.components[name].modules()]
    dense = [module for module in steady if not isinstance(module, Experts)]
    needed = sum(p.nbytes for module in dense for p in module.parameters(recurse=False))
    raise MingError(
        f"The device is too small: what every token reads takes {needed / 1e9:.1f} GB there "
        f"without the experts, and {mm.get_free_memory(engine.device) / 1e9:.1f} GB are "
        "left. Choose int4 in Load MingUniVision if it is not int4 yet (a converted folder: "
        "convert it again with --precision int4), or free some memory of the device."
    )
