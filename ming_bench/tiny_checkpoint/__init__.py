"""A tiny random checkpoint for tests: its sizes, weights and tokenizer."""
