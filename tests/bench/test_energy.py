"""Energy from meters: which one, what a window says, what is refused."""

import base64
import subprocess

import pytest

from tfzip.bench.energy import Reading, Window, energy_report, reading
from tfzip.bench.meters import METERS, Meter, choose_meter, sampling_script, settled
from tfzip.bench.perfetto import rails_of
from tfzip.errors import DeviceError

RAPL = "counter intel-rapl:0 /sys/energy 1000000 package-0"
RAILS = "rails iio:device0 /sys/energy_value"
DUMPSYS = """if [ $1 = battery ]; then printf '  level: 3\\n  voltage: 4100\\n'
else printf 'x\\n  Capacity: 5000, Computed drain: 12.5, actual drain: 10-20\\n'; fi"""
DRAIN = "drain batterystats Discharging"
FULL = "battery battery /c /v type=Battery scope= status=Discharging"
PLUGGED = "battery battery /c /v type=Battery scope= status=Charging"
SECOND = "battery bms /b /w type=BMS scope= status="
MOUSE = "battery hidpp_battery_0 /m /n type=Battery scope=Device status=Discharging"
SILENT = "battery battery /c /v type=Battery scope=System status="
BATTERY, COUNTER = (
    Meter("battery", "battery", ("/c", "/v")),
    Meter("counter", "rapl", ("/e",), (1_000_000.0,)),
)


@pytest.mark.parametrize(
    ("listing", "kind"),
    [
        (DRAIN, "drain"),
        (RAPL + "\n" + FULL, "counter"),
        (RAILS + "\n" + PLUGGED, "rails"),
        (FULL, "battery"),
        ("x\n" + FULL, "battery"),
        (MOUSE + "\n" + DRAIN, "drain"),
        (SILENT + "\n" + DRAIN, "battery"),
    ],
)
def test_the_best_meter_is_taken(listing, kind):
    assert choose_meter(listing).kind == kind


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("", "neither power"),
        (MOUSE, "neither power"),
        (SECOND, "neither power"),
        (PLUGGED, "is charging"),
        (PLUGGED + "\n" + SECOND, "is charging"),
        (SECOND + "\n" + PLUGGED, "is charging"),
        (FULL + "\n" + PLUGGED.replace("/c /v", "- -"), "is charging"),
        (PLUGGED.replace("Charging", "Not charging"), "is not charging"),
        (SILENT + "\ndrain batterystats Charging", "is charging"),
        ("drain batterystats Charging", "is charging"),
    ],
)
def test_without_a_meter_energy_is_refused(listing, message):
    with pytest.raises(DeviceError, match=message):
        choose_meter(listing)


@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_battery_gives_current_times_voltage_whatever_its_sign_and_unit(unit, sign):
    samples = [(0.5 * i, f"{sign * (400 + i % 2) * unit} 4000000") for i in range(41)]
    found = reading(settled(BATTERY, [text for _, text in samples]), samples)
    assert found.seconds == 20.0
    assert found.watts == pytest.approx(0.4005 * 4, rel=1e-3)


def test_trapezoids_weigh_uneven_steps():
    steps = [(0.0, 100_000), (1.0, 300_000), (4.0, 300_001)]
    more = [(4.0 + 0.01 * i, 300_000 + i % 2) for i in range(1, 20)]
    samples = [(time, f"{current} 5000000") for time, current in steps + more]
    joules = 1.0 * 0.2 * 5 + (samples[-1][0] - 1.0) * 0.3 * 5
    assert reading(BATTERY, samples).joules == pytest.approx(joules, rel=1e-4)


def test_the_unit_of_a_current_is_that_of_the_whole_measurement():
    idle, load = [f"{5_000 + i} 4000000" for i in range(30)], ["300000 4000000"]
    meter = settled(BATTERY, idle + load)
    found = reading(meter, [(0.1 * i, text) for i, text in enumerate(idle)])
    assert found.watts == pytest.approx(5.0145e-3 * 4, rel=1e-3)


def test_processors_are_added_up_without_the_platform_that_has_them_in_it():
    platform = "counter intel-rapl:2 /p 5 psys"
    second = RAPL.replace(":0", ":1").replace("/sys/energy 1000000", "/second 500").replace("-0", "-1")
    meter = choose_meter("\n".join([platform, RAPL, second]))
    assert (meter.name, meter.paths) == ("intel-rapl:0+intel-rapl:1", ("/sys/energy", "/second"))
    samples = [(0.0, "999000 100"), (1.0, "1000 300"), (2.0, "2000 50")]  # both begin anew
    assert reading(meter, samples).joules == pytest.approx(1e-6 * (2000 + 1000 + 200 + 250))
    assert choose_meter(platform).paths == ("/p",)


def test_rails_of_all_chips_are_added_up():
    meter = choose_meter(f"{RAILS}\n{RAILS.replace('0 ', '1 ').replace('/sys', '/other')}")
    assert meter.paths == ("/sys/energy_value", "/other/energy_value")


def test_a_counter_that_begins_anew_is_followed():
    samples = [(0.0, "900000"), (1.0, "990000"), (2.0, "80000"), (3.0, "180000")]
    assert reading(COUNTER, samples).joules == pytest.approx(0.28)


def test_rails_are_added_up():
    meter = Meter("rails", "iio:device0", ("/e",))
    samples = [
        (0.0, "t=1 CH0(T=1)[BIG], 1000 CH1(T=1)[LITTLE], 500"),
        (2.0, "t=2 CH0(T=2)[BIG], 4000 CH1(T=2)[LITTLE], 700"),
    ]
    assert reading(meter, samples).joules == pytest.approx(3.2e-3)


def varint(value):
    found = []
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def trace(*readings):
    """Returns a trace, of readings (milliseconds, microjoules by rail), among what traces hold besides."""
    packets = [field(1, field(8, 123456789) + varint(59 << 3 | 5) + b"abcd")]  # a clock, four fixed bytes
    for clock, rails in readings:
        energies = [
            field(2, field(1, index) + field(2, clock) + field(3, energy))
            for index, energy in enumerate(rails)
        ]
        names = [field(1, field(1, index) + field(2, b"RAIL")) for index in range(len(rails))]
        packets.append(field(1, field(8, 1) + field(40, b"".join([*names, *energies]))))
    return base64.b64encode(b"".join(packets)).decode()


def test_rails_in_traces_are_added_up_by_their_own_clock():
    assert rails_of(trace((1000, (5, 700)), (1250, (9, 1_000_000)))) == (1.25, 1_000_009.0)
    meter = choose_meter(f"perfetto power-rails {trace((10, (1,)))}\n{PLUGGED}")
    assert (meter.kind, meter.values) == ("perfetto", 1)
    window = [
        (0.1, trace((1000, (1_000, 2_000)))),
        (0.9, "broken"),
        (9.7, trace((11_000, (4_001_000, 6_000)))),
    ]
    found = reading(meter, window)
    assert (found.joules, found.seconds, found.updates) == (pytest.approx(4.004), 10.0, 1)
    with pytest.raises(DeviceError, match="gave 1 traces"):
        reading(meter, window[:2])


@pytest.mark.parametrize("line", ["", "no base64", trace(), trace((1, (3,)))[:-8]])
def test_traces_without_rails_are_no_meter(line):
    assert rails_of(line) is None
    with pytest.raises(DeviceError, match="is charging"):
        choose_meter(f"perfetto power-rails {line}\n{PLUGGED}")


def test_a_tracer_is_found_and_asked_by_the_shell(tmp_path):
    (tmp_path / "trace").write_bytes(base64.b64decode(trace((500, (7, 8)))))
    fake = f"perfetto() {{ cat > {tmp_path}/config; cat {tmp_path}/trace; }}; "

    def said(script):
        return subprocess.run(["sh", "-c", fake + script], capture_output=True, text=True, check=True).stdout

    lines = [line for line in said(METERS).splitlines() if line.startswith("perfetto")]
    assert choose_meter("\n".join(lines)) == Meter("perfetto", "power-rails", ())
    assert "collect_power_rails: true" in (tmp_path / "config").read_text()
    once = sampling_script(Meter("perfetto", "power-rails", ()), 0.1).replace("sleep 0.1", "exit")
    assert rails_of(said(once).split()[1]) == (0.5, 15.0)


def test_what_android_computes_is_modelled():
    meter = Meter("drain", "batterystats", ())
    window = [(0.0, "10.0 4000"), (10.0, "10.5 4000")]
    assert reading(meter, window).joules == pytest.approx(0.5 * 3.6 * 4)
    with pytest.raises(DeviceError, match="did not change"):
        reading(meter, [(0.0, "10.0 4000"), (10.0, "10.0 4000")])
    windows = [Window(Reading(1.0, 10.0, 1), Reading(7.2, 10.0, 2), 100, 10.0)] * 3
    assert energy_report("m.tflite", 1, meter, windows).label == "modelled"


def test_the_script_reads_what_the_meter_is_made_of():
    once = sampling_script(Meter("drain", "b", ()), 0.1).replace("sleep 2.0", "exit")
    command = ["sh", "-c", f"dumpsys() {{ {DUMPSYS}; }}; {once}"]
    shell = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shell.stdout.split()[1:] == ["12.5", "4100"]


def test_a_gauge_that_hardly_changes_is_refused():
    with pytest.raises(DeviceError, match="changed 3 times in 20 s"):
        reading(BATTERY, [(0.5 * i, f"{300_000 + i // 11} 4000000") for i in range(41)])
    with pytest.raises(DeviceError, match="gave 1 values"):
        reading(BATTERY, [(0.0, "1 1")])


def test_energy_per_inference_is_less_idle_with_students_interval():
    idle = Reading(10.0, 10.0, 99)
    loads = [Reading(0.95 * (30.0 + extra), 9.5, 99) for extra in (0.0, 1.0, -1.0)]  # not the whole window
    windows = [Window(idle, load, 100, 10.0) for load in loads]
    found = energy_report("m.tflite", 1, BATTERY, windows)
    assert found.millijoules == pytest.approx(200.0)
    assert found.high_millijoules - found.millijoules == pytest.approx(4.303 * 10 / 3**0.5, rel=1e-3)
    assert (found.idle_watts, found.load_watts, found.label) == (1.0, 3.0, "measured")
    with pytest.raises(DeviceError, match="at least 3 repeats"):
        energy_report("m.tflite", 1, BATTERY, windows[:2])
