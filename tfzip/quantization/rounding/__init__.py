"""Which way each weight is rounded: learned instead of to the nearest."""
