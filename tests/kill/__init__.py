"""Work that is killed at any moment: `python -m tests.kill --times 50`."""
