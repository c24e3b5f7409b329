"""What the nodes need of ComfyUI. Only the files of this folder import the host and torch."""
