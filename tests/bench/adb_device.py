"""An Android device that is none: it speaks adb's transport protocol over TCP, and runs commands in a folder.

`python adb_device.py PORT ROOT` serves one device. Commands run in /bin/sh, where ROOT holds the folder
`/data/local/tmp`; with `$TFZIP_EXEC_SHIM`, programs for AArch64 are run by QEMU. Faults come from the file
ROOT/fault, read at each service: one name and a number, see FAULTS. Not all of the protocol: what
`adb devices`, `shell`, `exec-out`, `push` and `pull` use.
"""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import struct
import sys
from pathlib import Path

FAULTS = {
    "gone_before_push": "closes the connection when a push begins",
    "gone_in_push": "closes the connection after so many bytes of a push",
    "gone_in_run": "closes the connection so many bytes into what the runner prints",
    "cut_in_run": "lets the runner's stream end after so many bytes, with exit status 0",
    "no_space": "answers a push with the error of a full disk",
    "read_only": "answers a push with the error of a read-only file system",
    "short_push": "says that a push went well but keeps fewer bytes",
    "slow": "waits so many milliseconds before each block of a push",
    "silent_run": "never passes on what a runner that waits for commands prints",
    "kill_runner": "ends the runner after so many milliseconds",
    "refuse_shell": "closes every shell at once",
    "gone_in_pull": "closes the connection after so many bytes of a pull",
    "short_pull": "leaves so many bytes of a pulled file out and says that it went well",
    "other_outputs": "changes what the runner computed when it is pulled",
    "noexec": "refuses to run the pushed programs",
    "babble": "prints lines of its own, one of them half an event, between those of the runner",
    "frozen": "answers nothing any more, so many milliseconds after a runner started",
}
VERSION, MAX_DATA = 0x01000001, 256 * 1024
SYNC, CNXN, AUTH, OPEN, OKAY, CLSE, WRTE = (
    int.from_bytes(name, "little") for name in (b"SYNC", b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"CLSE", b"WRTE")
)
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
DEVICE_FOLDER = "/data/local/tmp"
POWER_FOLDER = "/sys/class/power_supply"


class Stream:
    """One service of a connection: what comes from the host is queued, what goes there waits for its OKAY."""

    def __init__(self, connection, own, theirs):
        self.connection, self.own, self.theirs = connection, own, theirs
        self.incoming = asyncio.Queue()
        self.acknowledged = asyncio.Semaphore(0)
        self.open = True

    async def write(self, data):
        for at in range(0, len(data), MAX_DATA):
            if not self.open:
                raise ConnectionResetError
            await self.connection.send(WRTE, self.own, self.theirs, data[at : at + MAX_DATA])
            await self.acknowledged.acquire()

    async def read(self):
        data = await self.incoming.get()
        if data is None:
            raise ConnectionResetError
        return data

    async def close(self):
        if self.open:
            self.open = False
            await self.connection.send(CLSE, self.own, self.theirs)


class Bytes:
    """Reads exact numbers of bytes from a stream."""

    def __init__(self, stream):
        self.stream, self.held = stream, b""

    async def take(self, size):
        while len(self.held) < size:
            self.held += await self.stream.read()
        taken, self.held = self.held[:size], self.held[size:]
        return taken


class Connection:
    """One host's adb server."""

    def __init__(self, device, reader, writer):
        self.device, self.reader, self.writer = device, reader, writer
        self.streams, self.tasks, self.last = {}, set(), 0

    async def send(self, command, first, second, data=b""):
        head = struct.pack(
            "<6I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF
        )
        self.writer.write(head + data)
        await self.writer.drain()

    async def serve(self):
        try:
            while True:
                head = await self.reader.readexactly(24)
                command, first, second, size, _, _ = struct.unpack("<6I", head)
                await self.handle(command, first, second, await self.reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.drop()

    def drop(self):
        for stream in self.streams.values():
            stream.open = False
            stream.incoming.put_nowait(None)
            stream.acknowledged.release()
        self.writer.close()

    async def handle(self, command, first, second, data):
        if command == CNXN:
            await (self.send(AUTH, 1, 0, os.urandom(20)) if self.device.auth else self.welcome())
        elif command == AUTH and first == 2:  # a signature that no key here fits
            await self.send(AUTH, 1, 0, os.urandom(20))
        elif command == AUTH and first == 3 and self.device.auth == "accept":
            await self.welcome()
        elif command == OPEN:
            self.last += 1
            stream = self.streams[self.last] = Stream(self, self.last, first)
            task = asyncio.ensure_future(self.device.service(stream, data.rstrip(b"\0").decode()))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        elif command == WRTE and second in self.streams:
            self.streams[second].incoming.put_nowait(data)
            await self.send(OKAY, second, first)
        elif command == OKAY and second in self.streams:
            self.streams[second].acknowledged.release()
        elif command == CLSE and second in self.streams:
            stream = self.streams.pop(second)
            stream.incoming.put_nowait(None)
            stream.acknowledged.release()
            if stream.open:
                stream.open = False
                await self.send(CLSE, second, first)

    async def welcome(self):
        banner = f"device::ro.product.name=tfzip;ro.product.model={self.device.model};features=shell_v2,cmd"
        await self.send(CNXN, VERSION, MAX_DATA, banner.encode())


class Device:
    """The device: its folder, its shell, its faults."""

    def __init__(self, root, model="Pixel_None", auth=""):
        self.root, self.model, self.auth = Path(root), model, auth
        (self.root / "data/local/tmp").mkdir(parents=True, exist_ok=True)
        self.connections = []
        self.loaded = False  # whether a runner runs on

    async def connected(self, reader, writer):
        connection = Connection(self, reader, writer)
        self.connections.append(connection)
        await connection.serve()

    def fault(self, name):
        """Returns the number that comes with a fault, or None when it is not on; it happens once."""
        path = self.root / "fault"
        if not path.exists():
            return None
        words = path.read_text().split()
        if words[0] != name:
            return None
        if "always" not in words:
            path.unlink()
        return next((int(word) for word in words[1:] if word.isdigit()), 0)

    def inside(self, command):
        """Returns a command in which the device's own folders are those under its root."""
        for folder in (DEVICE_FOLDER, POWER_FOLDER):
            command = command.replace(folder, str(self.root) + folder)
        return command

    async def discharge(self):
        """Keeps the files of a battery: 0.8 W idle, 2 W while a runner runs on."""
        battery = self.root / POWER_FOLDER[1:] / "battery"
        if not battery.exists():
            return
        for step in itertools.count():
            current = -(500_000 if self.loaded else 200_000) + step % 7
            (battery / "current_now").write_text(f"{current}\n")
            await asyncio.sleep(0.02)

    def local(self, path):
        return str(self.root) + path if path.startswith(DEVICE_FOLDER) else path

    async def service(self, stream, name):
        await stream.connection.send(OKAY, stream.own, stream.theirs)
        try:
            if name.startswith("sync:"):
                await self.sync(stream, Bytes(stream))
            elif name.startswith(("shell", "exec")):
                kind, _, command = name.partition(":")
                await self.shell(stream, command, packets=",v2" in kind)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            with contextlib.suppress(ConnectionError):
                await stream.close()

    async def shell(self, stream, command, *, packets):
        if self.fault("refuse_shell") is not None:
            return
        runs = "--model" in command and "exec " in command
        if runs and self.fault("noexec") is not None:
            command = "echo 'sh: runner: Permission denied' >&2; exit 126"
        if runs and (after_ms := self.fault("frozen")) is not None:
            asyncio.get_running_loop().call_later(after_ms / 1e3, os.kill, os.getpid(), signal.SIGSTOP)
        waits = runs and "--blocks" in command
        environment = {
            **os.environ,
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "TFZIP_DEVICE": str(self.root),
        }
        if shim := os.environ.get("TFZIP_EXEC_SHIM"):
            environment["LD_PRELOAD"] = shim
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", self.inside(command),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=self.root, env=environment, start_new_session=True,
        )  # fmt: skip
        tasks = [
            asyncio.ensure_future(self.feed(stream, process, packets)),
            asyncio.ensure_future(
                self.pass_on(stream, process.stdout, STDOUT, packets, runs=runs, waits=waits)
            ),
            asyncio.ensure_future(self.pass_on(stream, process.stderr, STDERR, packets)),
        ]
        try:
            if runs and (after_ms := self.fault("kill_runner")) is not None:
                await asyncio.sleep(after_ms / 1e3)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(*tasks[1:])
            status = await process.wait()
            if packets:
                code = status if status >= 0 else 128 - status
                await stream.write(struct.pack("<BIB", EXIT, 1, code & 0xFF))
        finally:
            tasks[0].cancel()
            if process.returncode is None and not runs:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            elif process.returncode is None:
                process.stdin.close()  # a runner is left to the host to end, as on a phone

    async def feed(self, stream, process, packets):
        source = Bytes(stream)
        while True:
            try:
                kind, size = struct.unpack("<BI", await source.take(5)) if packets else (STDIN, None)
                data = await source.take(size) if packets else await stream.read()
            except ConnectionError:
                kind, data = CLOSE_STDIN, b""
            if kind == STDIN:
                self.loaded = self.loaded or b"SUSTAIN" in data
                process.stdin.write(data)
                await process.stdin.drain()
            elif kind == CLOSE_STDIN:
                process.stdin.close()
                return

    async def pass_on(self, stream, source, kind, packets, *, runs=False, waits=False):
        silent = waits and self.fault("silent_run") is not None
        gone, cut = (self.fault(name) if runs else None for name in ("gone_in_run", "cut_in_run"))
        babble = runs and self.fault("babble") is not None
        sent = 0
        while data := await source.readline():
            if babble:
                await self.write(
                    stream, kind, b'WARNING: linker: ignored\n{"event": "block", "sam\n', packets
                )
            self.loaded = self.loaded and b'"sustained"' not in data
            data = data.replace(str(self.root).encode(), b"")
            if silent:
                continue
            for limit, end in ((gone, "gone"), (cut, "cut")):
                if limit is not None and sent + len(data) > limit:
                    await self.write(stream, kind, data[: max(0, limit - sent)], packets)
                    if end == "gone":
                        self.vanish()
                    else:
                        await stream.write(struct.pack("<BIB", EXIT, 1, 0))
                        await stream.close()
                    raise ConnectionResetError
            await self.write(stream, kind, data, packets)
            sent += len(data)

    async def write(self, stream, kind, data, packets):
        if data:
            await stream.write((struct.pack("<BI", kind, len(data)) if packets else b"") + data)

    def vanish(self):
        """Closes every connection, as an unplugged cable does."""
        for connection in self.connections:
            connection.writer.transport.abort()

    async def sync(self, stream, source):
        while True:
            name, size = struct.unpack("<4sI", await source.take(8))
            path = (await source.take(size)).decode()
            if name == b"QUIT":
                return
            if name == b"STAT":
                await stream.write(struct.pack("<4s3I", b"STAT", *self.stat(self.local(path))))
            elif name == b"SEND":
                await self.receive(stream, source, self.local(path.rpartition(",")[0]))
            elif name == b"RECV":
                await self.give(stream, self.local(path))
            else:
                await self.fail(stream, f"no such request {name!r}")

    def stat(self, path):
        try:
            facts = Path(path).stat()
        except OSError:
            return (0, 0, 0)
        return (facts.st_mode & 0xFFFFFFFF, facts.st_size & 0xFFFFFFFF, int(facts.st_mtime) & 0xFFFFFFFF)

    async def receive(self, stream, source, path):
        if self.fault("gone_before_push") is not None:
            self.vanish()
            raise ConnectionResetError
        limit, short, slow = (self.fault(name) for name in ("gone_in_push", "short_push", "slow"))
        reasons = {"no_space": "No space left on device", "read_only": "Read-only file system"}
        error = next((reason for name, reason in reasons.items() if self.fault(name) is not None), None)
        content = bytearray()
        while True:
            name, size = struct.unpack("<4sI", await source.take(8))
            if name == b"DONE":
                break
            content += await source.take(size)
            if slow:
                await asyncio.sleep(slow / 1e3)
            if limit is not None and len(content) > limit:
                Path(path).write_bytes(content)
                self.vanish()
                raise ConnectionResetError
        try:
            if error is None:
                Path(path).write_bytes(content[:short] if short is not None else content)
        except OSError as problem:
            error = problem.strerror
        if error:
            await self.fail(stream, f"couldn't create file: {error}")
        else:
            await stream.write(struct.pack("<4sI", b"OKAY", 0))

    async def give(self, stream, path):
        try:
            content = Path(path).read_bytes()
        except OSError as problem:
            await self.fail(stream, problem.strerror)
            return
        gone, short, other = (self.fault(name) for name in ("gone_in_pull", "short_pull", "other_outputs"))
        if gone is not None:
            await stream.write(struct.pack("<4sI", b"DATA", len(content)) + content[:gone])
            self.vanish()
            raise ConnectionResetError
        if other is not None:
            content = bytes(byte ^ 0x55 for byte in content)
        content = content[: len(content) - (short or 0)]
        for at in range(0, len(content), 65536):
            part = content[at : at + 65536]
            await stream.write(struct.pack("<4sI", b"DATA", len(part)) + part)
        await stream.write(struct.pack("<4sI", b"DONE", 0))

    async def fail(self, stream, reason):
        await stream.write(struct.pack("<4sI", b"FAIL", len(reason)) + reason.encode())


TOOLS = {
    "getprop": """case "$1" in ro.product.cpu.abi) echo {abi};; ro.product.model) echo Pixel None;;
 ro.soc.model) echo TestSoC;; ro.build.version.sdk) echo 34;; esac""",
    "dumpsys": """case "$1" in
 battery) printf '  AC powered: false\\n  USB powered: true\\n  level: 80\\n';
  echo "  temperature: $(cat $TFZIP_DEVICE/temperature 2>/dev/null || echo 300)";;
 thermalservice) echo "Thermal Status: $(cat $TFZIP_DEVICE/thermal 2>/dev/null || echo 0)";;
 power) echo '  mWakefulness=Awake';; esac""",
    "cmd": """echo "$@" >> $TFZIP_DEVICE/commands""",
}


def prepare(root, abi, battery):
    """Writes what stands for Android's own programs."""
    folder = Path(root) / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in TOOLS.items():
        (folder / name).write_text("#!/bin/sh\n" + body.replace("{abi}", abi) + "\n")
        (folder / name).chmod(0o755)
    if battery:
        supply = Path(root) / POWER_FOLDER[1:] / "battery"
        supply.mkdir(parents=True)
        files = {"type": "Battery", "voltage_now": 4_000_000, "current_now": 0, "status": battery}
        for name, value in files.items():
            (supply / name).write_text(f"{value}\n")


async def main(port, root, options):
    prepare(root, options.get("abi", "arm64-v8a"), options.get("battery", ""))
    device = Device(root, options.get("model", "Pixel_None"), options.get("auth", ""))
    server = await asyncio.start_server(device.connected, "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    battery = asyncio.ensure_future(device.discharge())
    async with server:
        await server.serve_forever()
    battery.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}))
