"""The `ming` command: tools beside the nodes. Knows nothing about a running ComfyUI's insides."""
