"""From a model to a file: trace, convert in a child process, audit, sign."""
