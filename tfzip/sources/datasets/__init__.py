"""Where data comes from: one source per file."""
