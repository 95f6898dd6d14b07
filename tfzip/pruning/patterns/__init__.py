"""Which weights may go together: one pattern per file."""
