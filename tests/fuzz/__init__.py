"""Damaged, odd and hostile inputs by the thousand: `python -m tests.fuzz --minutes N --seed S`."""
