"""What ComfyUI's page makes of a workflow file when it is queued, made without a browser."""

from .convert import Converted, convert

__all__ = ["Converted", "convert"]
