"""Architecture search under hard constraints."""
