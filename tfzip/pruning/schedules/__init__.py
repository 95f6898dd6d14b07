"""How fast sparsity grows: one schedule per file."""
