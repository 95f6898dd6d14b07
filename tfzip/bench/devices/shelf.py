"""A folder of a device in which files are named by their digest, so that each is pushed once."""

import re
import secrets
import shlex
from pathlib import Path

from tfzip.artifact import sha256_of
from tfzip.bench.devices.link import Link
from tfzip.errors import DeviceError

_COMMAND_TIMEOUT_S = 30.0
_LEAST_BYTES_PER_S = 200_000.0
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")  # of a file's name, nothing else goes to a device's shell


class Shelf:
    """The folder, which is made if need be.

    Args:
        link: The way to the device.
        folder: Its path there.

    Raises:
        DeviceError: The device is not there, or the folder cannot be made.
    """

    def __init__(self, link: Link, folder: str) -> None:
        self.link = link
        self.folder = folder
        self._sizes = dict(link.sizes(folder, _COMMAND_TIMEOUT_S))

    def put(self, source: Path, *, program: bool = False) -> str:
        """Returns the path of a file on the device, where it is pushed unless it is there.

        It gets its name when it is whole: a link that breaks leaves nothing that could be taken for it.

        Raises:
            DeviceError: It cannot be pushed.
        """
        suffix = source.suffix if _SUFFIX.fullmatch(source.suffix) else ""
        name = f"{sha256_of(source)[:24]}{suffix}"
        target, size = f"{self.folder}/{name}", source.stat().st_size
        if self._sizes.get(name) != size:
            partial = f"{target}.{secrets.token_hex(4)}.partial"
            try:
                self.link.push(source, partial, _COMMAND_TIMEOUT_S + size / _LEAST_BYTES_PER_S)
                self._name(partial, target, size, program)
            except BaseException:  # also an interrupt key: nothing half-pushed may stay
                self.remove(partial)
                raise
            self._sizes[name] = size
        return target

    def remove(self, path: str) -> None:
        """Removes a file of the device, if it and the device are there."""
        self.link.tidy(f"rm -f {shlex.quote(path)}")

    def _name(self, partial: str, target: str, size: int, program: bool) -> None:
        quoted = shlex.quote(partial)
        mode = f"chmod 755 {quoted} && " if program else ""
        command = f"{mode}mv {quoted} {shlex.quote(target)} && wc -c < {shlex.quote(target)}"
        arrived = self.link.check(command, _COMMAND_TIMEOUT_S).strip()
        if arrived != str(size):
            self.remove(target)
            raise DeviceError(
                f"{self.link.place}: {arrived or 'none'} of {size} bytes of a file arrived. Repeat; if it"
                " happens again, free space on the device."
            )
