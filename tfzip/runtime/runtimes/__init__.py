"""The sole importers of interpreters: one runtime per file."""
