"""What `ming make-tiny` writes: sizes, weights and tokenizer of a tiny random checkpoint."""
