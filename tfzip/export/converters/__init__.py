"""The sole importers of TensorFlow's converter: one per file."""
