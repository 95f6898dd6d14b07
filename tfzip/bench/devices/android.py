"""Android phones and tablets over adb."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from tfzip.bench.devices.adb import AdbLink, choose, find_adb, list_devices
from tfzip.bench.devices.device import Device, Found, Measurement, Progress, devices
from tfzip.bench.devices.link import Link
from tfzip.bench.devices.machine import describe_machine
from tfzip.bench.devices.preflight import SCRIPT, Preflight, parse_preflight
from tfzip.bench.devices.programs import bundled, native
from tfzip.bench.devices.remote import Program, RemoteBench
from tfzip.bench.devices.shelf import Shelf
from tfzip.bench.devices.vendor_bench import VendorBench
from tfzip.bench.native.library import library_version
from tfzip.bench.native.toolchain import has_compiler
from tfzip.bench.native.vendor import vendor_binary
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.errors import DeviceError, OptionError, TfzipError

_TIMEOUT_S = 30.0
_ABI = "arm64-v8a"
_WARMER_C = 3.0
_POLL_S = 2.0
RUNNERS = ("native", "benchmark_model")


@devices.register
@dataclass(frozen=True)
class AndroidDevice(Device):
    """Measures on an Android device with USB debugging on, through the native runner.

    The clocks are asked to stay constant (Android 11's fixed-performance mode) where the device offers it. A
    launch waits until the device is about as cool as at the start; a change of the thermal status or a clock
    that falls is a disturbance of the figures.

    Attributes:
        serial: As `adb devices` lists it; empty for the only one that is connected. Defaults to `""`.
        cores: `"all"`, `"little"`, `"mid"`, `"big"`, or numbers such as `"4-7"`. Defaults to `"all"`.
        runner: `"native"`, or `"benchmark_model"`, LiteRT's own, which gives no samples and no outputs.
            Defaults to `"native"`.
        runner_binary: Path of benchmark_model for Android; None for the one that `tfzip devices setup` has
            fetched. Defaults to None.
        fp16: Whether XNNPACK may compute float32 in half precision. Defaults to False.
        cooldown_s: Longest wait before a launch, in seconds. Defaults to 120.0.
        folder: Where files go on the device. Defaults to `"/data/local/tmp/tfzip"`.
        adb: The executable; None looks at `$ADB`, the path, and the package adbutils. Defaults to None.
    """

    serial: str = ""
    cores: str = "all"
    runner: str = "native"
    runner_binary: str | None = None
    fp16: bool = False
    cooldown_s: float = 120.0
    folder: str = "/data/local/tmp/tfzip"
    adb: str | None = None

    measures_energy: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.runner not in RUNNERS:
            raise OptionError(f"runner is one of {', '.join(RUNNERS)}. Received: {self.runner!r}.")

    @classmethod
    def found_here(cls) -> list[Found]:
        """Returns what adb lists."""
        try:
            listed = list_devices(find_adb())
        except TfzipError as error:
            return [Found("android", "not set up", str(error))]
        return [
            Found(f"android:{one.serial}", "ready" if one.state == "device" else one.state, one.model)
            for one in listed
        ] or [Found("android", "not connected", "Connect a device with USB debugging on.")]

    def environment(self, plan: BenchPlan) -> Mapping[str, Any]:  # noqa: ARG002 (one runtime here)
        """Describes the device: chip, build, cores, governor, battery, thermal status, screen."""
        facts = {"runtime": "litert", "runtime_version": library_version(), "runner": self.runner}
        return {**describe_machine(), **self._preflight(self._link()).facts, **facts}

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement]:
        """Pushes what is missing, and measures in turns."""
        link = self._link()
        before = self._preflight(link)
        shelf = Shelf(link, self.folder)
        bench = self._bench(shelf, before)
        with _constant_clocks(link):
            results = bench.measure(workloads, plan, progress)
        after = self._preflight(link)
        for result in results:
            result.remarks += _changes(before, after)
        return results

    def _link(self) -> AdbLink:
        adb = find_adb(self.adb)
        return AdbLink(adb, choose(adb, self.serial).serial)

    def _preflight(self, link: Link) -> Preflight:
        return parse_preflight(link.check(SCRIPT, _TIMEOUT_S))

    def _bench(self, shelf: Shelf, state: Preflight) -> RemoteBench | VendorBench:
        def settle() -> None:
            self._cool_down(shelf.link, state)

        if self.runner == "benchmark_model":
            binary = shelf.put(vendor_binary("android-aarch64", self.runner_binary), program=True)
            return VendorBench(shelf.link, shelf, binary, state.mask(self.cores), settle)
        return RemoteBench(shelf.link, shelf, self._program(shelf, state), settle)

    def _program(self, shelf: Shelf, state: Preflight) -> Program:
        abi = state.facts.get("android", {}).get("ro.product.cpu.abi", "")
        if abi != _ABI:
            raise DeviceError(
                f"{shelf.link.place} runs programs for {abi or 'an unknown processor'}; the runner is built"
                f" for {_ABI}. Take another device."
            )
        options = {"fp16": self.fp16, "cpus": state.mask(self.cores)}
        if has_compiler("android-aarch64"):
            return native(shelf, "android-aarch64", options)
        return bundled(shelf, options)

    def _cool_down(self, link: Link, before: Preflight) -> None:
        """Waits until the device is about as cool as at the start, or until the time is over."""
        if before.temperature_c is None:
            return
        end = time.monotonic() + self.cooldown_s
        while time.monotonic() < end:
            now = self._preflight(link).temperature_c
            if now is None or now <= before.temperature_c + _WARMER_C:
                return
            time.sleep(_POLL_S)


@contextmanager
def _constant_clocks(link: Link) -> Iterator[None]:
    """Asks for clocks that the device can keep, and gives them free again."""
    command = "cmd power set-fixed-performance-mode-enabled"
    asked = link.run(f"{command} true", _TIMEOUT_S).status == 0
    try:
        yield
    finally:
        if asked:
            with suppress(DeviceError):
                link.run(f"{command} false", _TIMEOUT_S)


def _changes(before: Preflight, after: Preflight) -> list[str]:
    if before.thermal_status != after.thermal_status and after.thermal_status is not None:
        return [f"the thermal status went from {before.thermal_status} to {after.thermal_status}"]
    return []
