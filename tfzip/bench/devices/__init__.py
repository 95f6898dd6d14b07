"""Where a file is measured: one device per file."""
