"""`ming eval`: cases, the judge that knows nothing of the model, the measures and the report."""
