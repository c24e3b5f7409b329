"""`ming batch`: one workflow, run once for every row of a list."""
