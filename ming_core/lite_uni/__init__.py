"""Ming-Lite-Uni: a language model that reads and asks, and a diffusion model that draws."""
