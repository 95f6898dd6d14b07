"""Stands in for the native runner on boards that have Python: the same options, the same lines.

Needs NumPy, and ai-edge-litert or tflite-runtime. README.md describes the protocol. `--library` is not looked
at: the library is that of the installed package.
"""

import argparse
import hashlib
import importlib
import json
import os
import resource
import signal
import statistics
import sys
import time
import traceback

PROTOCOL = 1
BAD_ARGUMENT, BAD_LIBRARY, BAD_MODEL, BAD_INPUTS, RUN_FAILED = 1, 2, 3, 4, 5
WINDOW_MS, STEADY, LEAST_WINDOW = 30.0, 0.02, 3
PACKAGES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


class FailureError(Exception):
    """Ends the agent with a status and a message."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def say(event, **facts):
    """Prints one line of the report."""
    print(json.dumps({"event": event, **facts}), flush=True)


class Parser(argparse.ArgumentParser):
    """Tells what is wrong in the report instead of on standard error."""

    def error(self, message):
        """Raises what becomes the end marker."""
        raise FailureError(BAD_ARGUMENT, message)


def options_of(arguments):
    """Returns the options; those that Python's interpreter lacks are refused."""
    parser = Parser(description=__doc__, allow_abbrev=False)
    for name in ("library", "model", "inputs", "outputs", "cpus"):
        parser.add_argument("--" + name, required=name == "model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--warmup-s", type=float, default=2.0)
    parser.add_argument("--deadline-s", type=int, default=0)
    for name in ("blocks", "memory"):
        parser.add_argument("--" + name, action="store_true")
    return parser.parse_args(arguments)


def interpreter_class():
    """Returns the first package that is installed, and its interpreter."""
    for name in PACKAGES:
        try:
            return name.split(".")[0], importlib.import_module(name).Interpreter
        except ImportError:
            continue
    raise FailureError(
        BAD_LIBRARY, "Neither ai-edge-litert nor tflite-runtime is installed. Install one with pip."
    )


def version_of(package):
    """Returns the version of a package; "unknown" where neither Python nor the package tells."""
    try:
        return importlib.import_module("importlib.metadata").version(package)
    except ImportError:  # no such module before Python 3.8, or a package that pip did not install
        return str(getattr(importlib.import_module(package), "__version__", "unknown"))


def first_line(error):
    """Returns the first line of what an error says."""
    return (str(error).splitlines() or [""])[0]


def clock_ms():
    """Returns milliseconds of a clock that only goes forwards."""
    return time.perf_counter_ns() / 1e6


class Model:
    """An open file with its inputs."""

    def __init__(self, options, kind):
        import numpy as np

        self.np = np
        if not os.access(options.model, os.R_OK):
            raise FailureError(BAD_MODEL, f"{options.model} cannot be read.")
        try:
            self.interpreter = kind(model_path=options.model, num_threads=options.threads)
            self.interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise FailureError(BAD_MODEL, f"{options.model} cannot be opened: {first_line(error)}")
        self.inputs = self._named(self.interpreter.get_input_details(), "inputs")
        self.outputs = self._named(self.interpreter.get_output_details(), "outputs")
        self.batch_bytes = sum(self.size(detail) for _, detail in self.inputs)
        self.data = self._read(options.inputs) if options.inputs else self._drawn(options.seed)
        self.batches = len(self.data) // self.batch_bytes if self.batch_bytes else 1

    def _named(self, details, side):
        """Returns (name, detail) of all tensors, by their names in the signature where there is one."""
        try:
            known = next(iter(self.interpreter._get_full_signature_list().values()))[side]
        except (AttributeError, StopIteration):
            known = {}
        names = {int(index): name for name, index in known.items()}
        return [(names.get(int(detail["index"]), detail["name"]), detail) for detail in details]

    def size(self, detail):
        """Returns the bytes of a tensor."""
        return int(self.np.prod(detail["shape"], dtype="int64")) * self.np.dtype(detail["dtype"]).itemsize

    def described(self, tensors):
        """Returns what the report says of tensors."""
        return [
            {
                "name": name,
                "dtype": self.np.dtype(detail["dtype"]).name,
                "shape": [int(size) for size in detail["shape"]],
                "bytes": self.size(detail),
            }
            for name, detail in tensors
        ]

    def _read(self, path):
        try:
            with open(path, "rb") as stream:
                data = stream.read()
        except OSError as error:
            raise FailureError(BAD_INPUTS, f"{path} cannot be read: {error.strerror}.")
        whole = data and len(data) % self.batch_bytes == 0 if self.batch_bytes else not data
        if not whole:
            size = self.batch_bytes
            raise FailureError(
                BAD_INPUTS, f"{path} has {len(data)} bytes; a batch of this file takes {size}."
            )
        return data

    def _drawn(self, seed):
        rng = self.np.random.RandomState(seed % 2**32)
        parts = []
        for _, detail in self.inputs:
            kind = self.np.dtype(detail["dtype"])
            if kind.kind == "f":
                values = rng.uniform(-1, 1, detail["shape"])
            else:
                low, high = (-128, 128) if kind == "int8" else (0, 256) if kind == "uint8" else (0, 2)
                values = rng.randint(low, high, detail["shape"])
            parts.append(values.astype(kind).tobytes())
        return b"".join(parts)

    def feed(self, index):
        """Writes a batch into the inputs."""
        at = index % self.batches * self.batch_bytes
        for _, detail in self.inputs:
            size = self.size(detail)
            values = self.np.frombuffer(self.data[at : at + size], detail["dtype"])
            self.interpreter.set_tensor(detail["index"], values.reshape(detail["shape"]))
            at += size

    def results(self):
        """Returns the outputs, one after the other."""
        return b"".join(self.interpreter.get_tensor(detail["index"]).tobytes() for _, detail in self.outputs)

    def timed(self, runs):
        """Returns the milliseconds of consecutive runs."""
        taken, invoke = [], self.interpreter.invoke
        for _ in range(runs):
            start = clock_ms()
            invoke()
            taken.append(clock_ms() - start)
        return taken


def digest_of(content):
    """Returns what tells bytes from others."""
    return hashlib.sha256(content).hexdigest()[:16]


def warm_up(model, longest_s):
    """Runs until the medians of the last three windows agree within 2 %, or until the time is over."""
    start, taken, window = clock_ms(), [], LEAST_WINDOW
    while True:
        more = model.timed(window)
        taken += more
        run_ms, elapsed = statistics.median(more), clock_ms() - start
        window = max(LEAST_WINDOW, int(WINDOW_MS / max(run_ms, 1e-6)) + 1)
        last = [taken[len(taken) - (i + 1) * window : len(taken) - i * window] for i in range(3)]
        medians = [statistics.median(one) for one in last] if len(taken) >= 3 * window else []
        steady = bool(medians) and max(medians) - min(medians) <= STEADY * min(medians)
        if steady or (elapsed >= 1e3 * longest_s and len(taken) >= 3 * LEAST_WINDOW):
            return say("warm", runs=len(taken), duration_ms=elapsed, steady=steady, run_ms=run_ms)


def block(model, runs, index):
    """Times consecutive runs after a tenth as many untimed ones."""
    model.feed(index)
    model.timed(runs // 10 + 1)
    samples = [round(1e6 * one) for one in model.timed(runs)]
    say("block", index=index, clock_khz=[0, 0], samples_ns=samples)


def sustain(model, seconds, every_ms):
    """Runs on for a time."""
    start, busy, runs = clock_ms(), 0.0, 0
    due = start
    while clock_ms() - start < 1e3 * seconds:
        busy += model.timed(1)[0]
        runs += 1
        due += every_ms
        time.sleep(max(0.0, (due - clock_ms()) / 1e3) if every_ms else 0.0)
    say("sustained", runs=runs, duration_ms=clock_ms() - start, busy_ms=busy)


def commands(model):
    """Takes commands until the input ends."""
    for line in sys.stdin:
        words = line.split()
        if len(words) == 3 and words[0] == "BLOCK":
            block(model, int(words[1]), int(words[2]))
        elif len(words) == 3 and words[0] == "SUSTAIN":
            sustain(model, float(words[1]), float(words[2]))
        else:
            raise FailureError(BAD_ARGUMENT, f"Unknown command {line.strip()!r}; see README.md.")


def peak_bytes():
    """Returns the highest resident memory of this process."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def work(options):
    """Does what the options say."""
    if options.deadline_s:
        signal.alarm(options.deadline_s)
    if options.cpus:
        os.sched_setaffinity(0, {core for core in range(64) if int(options.cpus, 16) >> core & 1})
    start = clock_ms()
    package, kind = interpreter_class()
    loaded, before = clock_ms(), peak_bytes()
    model = Model(options, kind)
    opened = clock_ms()
    model.feed(0)
    (first_ms,) = model.timed(1)
    results = model.results() if options.outputs else b""  # of the first run: a file may keep a state
    if options.outputs:
        for index in range(1, model.batches):
            model.feed(index)
            model.timed(1)
            results += model.results()
        with open(options.outputs, "wb") as stream:
            stream.write(results)
        model.feed(0)
    say(
        "opened",
        runner=PROTOCOL,
        package=package,
        version=version_of(package),
        load_ms=loaded - start,
        init_ms=opened - loaded,
        first_inference_ms=first_ms,
        batches=model.batches,
        outputs_digest=digest_of(results),
        signature="",
        inputs=model.described(model.inputs),
        outputs=model.described(model.outputs),
        fully_accelerated=False,
    )
    if options.memory:
        model.timed(5)
        say("memory", peak_memory_bytes=max(0, peak_bytes() - before), pss_bytes=0, heap_bytes=-1)
        return
    if options.runs or options.blocks:
        warm_up(model, options.warmup_s)
    if options.runs:
        block(model, options.runs, 0)
    if options.blocks:
        commands(model)


def main():
    """Works and ends with the end marker."""
    try:
        work(options_of(sys.argv[1:]))
    except FailureError as failure:
        say("end", status=failure.status, message=str(failure))
        return failure.status
    except (OSError, RuntimeError, ValueError) as error:
        traceback.print_exc()
        say("end", status=RUN_FAILED, message=f"{type(error).__name__}: {first_line(error)}")
        return RUN_FAILED
    say("end", status=0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
