"""The native runner: its binary, the library that it opens, its protocol, and what its counter says."""
