"""Which weights matter: one criterion per file."""
