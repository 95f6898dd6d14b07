"""Zeros while training: which weights matter, how fast they go, who keeps them out."""
