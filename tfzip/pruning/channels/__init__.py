"""Channels that disappear: which of them, and the smaller model."""
