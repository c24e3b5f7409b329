"""The `ming` command: tools for people beside the nodes."""
