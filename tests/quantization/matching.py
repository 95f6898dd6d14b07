"""What a file and a simulation have in common: runs in the child that converts."""

from tfzip.conversion.converters.recorded import probe_batch, write_recorded
from tfzip.conversion.converters.tf_lite import _calibrated
from tfzip.fingerprint import fingerprint, nearest


def compared(job):
    """Returns the tensors of the float file that have no key, and the keys that have no tensor."""
    file = _calibrated(job)
    values_of = next(file.run([probe_batch(job.recorded, job.batch)]))
    found = [fingerprint(values_of(index)) for index in file.names]
    looks = {}
    for key, look in job.recorded.looks:
        looks.setdefault(key, []).append(look)
    absent = [key for key, some in looks.items() if all(nearest(found, look) is None for look in some)]
    made = {index: _NAMES[code] for code, _, outputs in file.operators() for index in outputs}
    unknown = write_recorded(file, job.recorded, job.batch)
    return [f"{made.get(index, 'INPUT')} {file.names[index]}" for index in unknown], absent


def _names():
    from tensorflow.lite.python.schema_py_generated import BuiltinOperator

    return {code: name for name, code in vars(BuiltinOperator).items() if not name.startswith("_")}


_NAMES = _names()
