"""ARM cores that an emulator can stand for, and the files in which programs look for them."""

from dataclasses import dataclass
from pathlib import Path

EMULATOR = "qemu-aarch64"
SYSROOT = Path("/usr/aarch64-linux-gnu")
"""Where Debian and Ubuntu put libraries for AArch64."""
_ARM = 0x41


@dataclass(frozen=True)
class ArmCore:
    """A core as a program sees it.

    XNNPACK takes the instructions that it may use from the kernel's capabilities, which the emulator derives
    from `cpu`, and the kernels that suit a core from the numbers that it reads in /proc/cpuinfo.

    Attributes:
        cpu: Of the models that QEMU has, the one with the same instructions.
        part: Number of the core in its identification register.
        variant: Number of its revision; a Cortex-A55 has dot products from the first on.
    """

    cpu: str
    part: int
    variant: int = 0

    @property
    def has_half(self) -> bool:
        """Whether it computes in half precision (Armv8.2)."""
        return self.cpu not in ("cortex-a53", "cortex-a72")


CORES = {
    "cortex-a53": ArmCore("cortex-a53", 0xD03),
    "cortex-a55": ArmCore("cortex-a76", 0xD05, 2),
    "cortex-a72": ArmCore("cortex-a72", 0xD08),
    "cortex-a73": ArmCore("cortex-a72", 0xD09),
    "cortex-a76": ArmCore("cortex-a76", 0xD0B, 4),
    "cortex-a78": ArmCore("cortex-a76", 0xD41, 1),
    "cortex-x1": ArmCore("cortex-a76", 0xD44, 1),
}


def write_root(folder: Path, core: ArmCore, sysroot: Path) -> None:
    """Makes a folder that an emulated program sees in front of this machine's files: libraries and one core.

    LiteRT's library reads /proc/cpuinfo and does not survive that of another architecture; without the rest,
    sizes of this machine's caches would change what it does.

    Args:
        folder: An empty folder.
        core: Of the machine that is shown.
        sysroot: Folder with the system's libraries for AArch64, under `lib`.
    """
    (folder / "lib").symlink_to(sysroot / "lib")
    lines = {
        "processor": "0",
        "BogoMIPS": "100.00",
        "Features": "fp asimd",
        "CPU implementer": f"0x{_ARM:02x}",
        "CPU architecture": "8",
        "CPU variant": f"0x{core.variant:x}",
        "CPU part": f"0x{core.part:03x}",
        "CPU revision": "0",
    }
    files = {"proc/cpuinfo": "".join(f"{name}\t: {value}\n" for name, value in lines.items())}
    root = "sys/devices/system/cpu"
    files |= {f"{root}/{name}": "0\n" for name in ("kernel_max", "possible", "present", "online")}
    files |= {f"{root}/cpu0/cpufreq/cpuinfo_{end}_freq": "2000000\n" for end in ("max", "min")}
    files |= {f"{root}/cpu0/topology/{name}": "0\n" for name in ("physical_package_id", "cluster_cpus_list")}
    cache = f"{root}/cpu0/cache/index2"
    files |= {f"{cache}/level": "2\n", f"{cache}/size": "512K\n", f"{cache}/shared_cpu_list": "0\n"}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
