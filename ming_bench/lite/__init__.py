"""What a picture of Ming-Lite-Uni costs, and what few bits do to it."""
