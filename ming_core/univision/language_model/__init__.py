"""The mixture-of-experts language model (Bailing / Ling-lite)."""
