"""MingTok, the visual tokenizer: pixels -> latents -> semantic features -> pixels."""
