"""Behind `ming bench`: what a visual token costs; and tiny checkpoints to try things on."""
