"""What both sides of `bench_unstructured` agree on."""

PLAIN = "the same training without zeros"
TFMOT = "TFMOT"  # has a threshold for each kernel and no other
TFZIP = "tfzip, one threshold"  # for all kernels together
TAUGHT = "tfzip, one threshold, taught"  # by the weights it begins with
SPARSITY = 0.8
WINDOW = 0.5  # share of the epochs in which zeros come, by a polynomial of third degree
EVERY = 100  # steps between two changes of the masks
