"""Where files are measured: one device per file, behind one interface."""

from tfzip.bench.devices.device import Device, Measurement, Opening, devices, find_device
from tfzip.bench.devices.host import HostDevice
from tfzip.bench.devices.qemu import QemuDevice
from tfzip.bench.devices.timed import Launch, TimedDevice

__all__ = [
    "Device",
    "HostDevice",
    "Launch",
    "Measurement",
    "Opening",
    "QemuDevice",
    "TimedDevice",
    "devices",
    "find_device",
]
