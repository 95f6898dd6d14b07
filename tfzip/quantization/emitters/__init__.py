"""What can be done to the tensors that a file stores while a model runs."""
