"""What a file costs: latency, memory, with raw samples and paired verdicts."""
