"""Where files are measured: one device per file, behind one interface."""

from tfzip.bench.devices.android import AndroidDevice
from tfzip.bench.devices.device import Device, Measurement, Memory, Opening, device_with, devices, find_device
from tfzip.bench.devices.host import HostDevice
from tfzip.bench.devices.qemu import QemuDevice
from tfzip.bench.devices.ssh import SshDevice
from tfzip.bench.devices.timed import Launch, TimedDevice

__all__ = [
    "AndroidDevice",
    "Device",
    "HostDevice",
    "Launch",
    "Measurement",
    "Memory",
    "Opening",
    "QemuDevice",
    "SshDevice",
    "TimedDevice",
    "device_with",
    "devices",
    "find_device",
]
