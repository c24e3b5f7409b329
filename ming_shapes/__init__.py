"""The drawn world of the tiny model: scenes as plain values, their pictures, their language."""
