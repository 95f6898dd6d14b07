"""Where files are measured: one device per file, behind one interface."""

from tfzip.bench.devices.device import Device, Launch, Measurement, Opening, devices
from tfzip.bench.devices.host import HostDevice

__all__ = ["Device", "HostDevice", "Launch", "Measurement", "Opening", "devices"]
