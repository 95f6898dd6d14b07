"""What the host feeds and computes, in a child process like everything that opens a file."""

from tfzip.bench.agreement import Reference
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.errors import MissingDependencyError, SandboxError
from tfzip.runtime.runtimes import Runtime, runtimes
from tfzip.runtime.session import first_installed
from tfzip.sandbox import Sandbox


def reference_of(workload: Workload, plan: BenchPlan, *, portable: bool = False) -> Reference:
    """Returns the inputs of a workload and what they become on this machine.

    Args:
        workload: What is run.
        plan: Names the runtime and the seed.
        portable: Whether the plain C++ kernels compute them here. Defaults to False.

    Raises:
        SandboxError: The file crashes here, hangs, or exhausts memory.
        FileFormatError: It cannot be run here.
    """
    runtime = runtimes.name_of(chosen_runtime(plan))
    with Sandbox(timeout_s=plan.timeout_s) as child:
        try:
            found: Reference = child.call(
                "tfzip.bench.worker:reference",
                str(workload.path),
                runtime=runtime,
                seed=plan.seed,
                data=workload.data,
                portable=portable,
            )
        except SandboxError as error:
            raise SandboxError(f"{workload.path} cannot be run here: {error}", error.detail) from error
    return found


def chosen_runtime(plan: BenchPlan) -> Runtime:
    """Returns the runtime of a plan on this machine.

    Raises:
        MissingDependencyError: It is not installed.
    """
    runtime = first_installed() if plan.runtime is None else runtimes.get(plan.runtime)
    if runtime.version() is None:
        raise MissingDependencyError(
            f"The runtime {plan.runtime!r} needs {runtime.package}, which is not installed."
            f" Install it with `pip install {runtime.package}`."
        )
    return runtime
