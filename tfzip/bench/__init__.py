"""What a file costs: latency, memory, with raw samples and paired verdicts."""

from tfzip.bench.arm_cost import InstructionReport
from tfzip.bench.benchmark import benchmark
from tfzip.bench.plan import BenchPlan
from tfzip.bench.report import BenchmarkReport, LatencyReport, Verdict

__all__ = ["BenchPlan", "BenchmarkReport", "InstructionReport", "LatencyReport", "Verdict", "benchmark"]
