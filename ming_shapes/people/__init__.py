"""How people talk about drawn shapes: a second grammar, practised in lessons and never examined."""
