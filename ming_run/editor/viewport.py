"""What the page sends for the three-dimensional view on a node, where no scene has to be drawn."""

from collections.abc import Mapping
from typing import Any

VIEW = "LOAD_3D"
# Show or save what flows in: their view holds nothing before they run.
_EMPTY_VIEWS = (
    "Preview3DAdvanced",
    "PreviewGaussianSplat",
    "PreviewPointCloud",
    "Save3DAdvanced",
    "SaveGaussianSplat",
    "SavePointCloud",
)
_NO_PICTURES = {"image": "", "mask": "", "normal": "", "recording": ""}
# A new view looks at the origin from (10, 10, 10).
_CAMERA = {
    "position": {"x": 10, "y": 10, "z": 10.000000000000002, "isVector3": True},
    "target": {"x": 0, "y": 0, "z": 0, "isVector3": True},
    "zoom": 1,
    "cameraType": "perspective",
    "quaternion": {
        "x": -0.2798481423331213,
        "y": 0.3647051996310008,
        "z": 0.11591689595929511,
        "w": 0.8804762392171493,
    },
    "fov": 35,
    "aspect": 1,
    "near": 0.01,
    "far": 10000,
    "frustum": {"left": -5, "right": 5, "top": 5, "bottom": -5},
}


def view_of(
    class_type: str, properties: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The value of a view, or None where only the page can make it: it draws a model."""
    is_empty = class_type in _EMPTY_VIEWS
    has_no_model = class_type == "Load3DAdvanced" and values.get("model_file") in ("none", "", None)
    if not (is_empty or has_no_model):
        return None
    kept = properties.get("Camera Config") or {}
    state = {"camera_info": kept.get("state") or _CAMERA, "model_3d_info": []}
    return {**_NO_PICTURES, **state} if is_empty else state
