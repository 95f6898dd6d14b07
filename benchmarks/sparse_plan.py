"""What both sides of `bench_unstructured` agree on."""

PLAIN = "the same training without zeros"
TFZIP, TFMOT = "tfzip", "TFMOT"
SPARSITY = 0.8
WINDOW = 0.5  # share of the epochs in which zeros come, by a polynomial of third degree
EVERY = 100  # steps between two changes of the masks
