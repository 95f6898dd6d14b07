"""Android phones and tablets over adb."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from tfzip.bench.devices.adb import AdbLink, choose, find_adb, list_devices
from tfzip.bench.devices.device import Found, Measurement, Progress, devices
from tfzip.bench.devices.link import Link
from tfzip.bench.devices.linked import LINK_TIMEOUT_S, VENDOR, LinkedDevice, preflight
from tfzip.bench.devices.preflight import Preflight
from tfzip.bench.devices.programs import bundled, native
from tfzip.bench.devices.remote import Program
from tfzip.bench.devices.shelf import Shelf
from tfzip.bench.native.toolchain import has_compiler
from tfzip.bench.plan import BenchPlan, Workload
from tfzip.errors import DeviceError, TfzipError

_ABI = "arm64-v8a"
_WARMER_C = 3.0
_POLL_S = 2.0


@devices.register
@dataclass(frozen=True)
class AndroidDevice(LinkedDevice):
    """Measures on an Android device with USB debugging on, through the native runner.

    The clocks are asked to stay constant (Android 11's fixed-performance mode) where the device offers it. A
    launch waits until the device is about as cool as at the start; a change of the thermal status or a clock
    that falls is a disturbance of the figures.

    Attributes:
        serial: As `adb devices` lists it; empty for the only one that is connected. Defaults to `""`.
        cooldown_s: Longest wait before a launch, in seconds. Defaults to 120.0.
        folder: Where files go on the device. Defaults to `"/data/local/tmp/tfzip"`.
        adb: The executable; None looks at `$ADB`, the path, and the package adbutils. Defaults to None.
    """

    serial: str = ""
    cooldown_s: float = 120.0
    folder: str = "/data/local/tmp/tfzip"
    adb: str | None = None

    runners: ClassVar[tuple[str, ...]] = ("native", VENDOR)

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

    def measure(
        self, workloads: Sequence[Workload], plan: BenchPlan, progress: Progress | None = None
    ) -> list[Measurement]:
        """Pushes what is missing, and measures in turns, with constant clocks where the device has them."""
        link = self.link()
        before = preflight(link)
        warm: dict[str, None] = {}
        bench = self.bench(link, before, lambda: warm.update(dict.fromkeys(self._cool_down(link, before))))
        with _constant_clocks(link):
            results = bench.measure(workloads, plan, progress)
        after = preflight(link)
        for result in results:
            result.remarks += [*warm, *_changes(before, after)]
        return results

    def link(self) -> AdbLink:
        """Returns the way to the device of the serial, or to the only one."""
        adb = find_adb(self.adb)
        return AdbLink(adb, choose(adb, self.serial).serial)

    def system(self, state: Preflight) -> str:
        """Returns Android's system for 64-bit ARM, the only one that the runner is built for."""
        abi = state.facts.get("android", {}).get("ro.product.cpu.abi", "")
        if abi != _ABI:
            raise DeviceError(
                f"The device runs programs for {abi or 'an unknown processor'}; the runner is built for"
                f" {_ABI}. Take another device."
            )
        return "android-aarch64"

    def program(self, shelf: Shelf, state: Preflight, options: Mapping[str, Any]) -> Program:
        """Puts the runner on the device: that of the NDK where there is one, else with a C library."""
        system = self.system(state)
        return native(shelf, system, options) if has_compiler(system) else bundled(shelf, options)

    def folder_there(self, link: Link) -> str:  # noqa: ARG002 (the same on all)
        """Returns the folder on the device."""
        return self.folder

    def _cool_down(self, link: Link, before: Preflight) -> list[str]:
        """Waits until the device is about as cool as at the start; returns a remark if the time is over."""
        if before.temperature_c is None:
            return []
        limit_c, end = before.temperature_c + _WARMER_C, time.monotonic() + self.cooldown_s
        while (now_c := preflight(link).temperature_c) is not None and now_c > limit_c:
            if time.monotonic() >= end:
                return [f"a launch began above {limit_c:g} C, after {self.cooldown_s:g} s of waiting for it"]
            time.sleep(_POLL_S)
        return []


@contextmanager
def _constant_clocks(link: Link) -> Iterator[None]:
    """Asks for clocks that the device can keep, and gives them free again."""
    command = "cmd power set-fixed-performance-mode-enabled"
    asked = link.run(f"{command} true", LINK_TIMEOUT_S).status == 0
    try:
        yield
    finally:
        if asked:
            link.tidy(f"{command} false")


def _changes(before: Preflight, after: Preflight) -> list[str]:
    if before.thermal_status != after.thermal_status and after.thermal_status is not None:
        return [f"the thermal status went from {before.thermal_status} to {after.thermal_status}"]
    return []
