"""A teacher that is asked once: the same training, interrupted caches, other teachers and other batches."""

import keras
import numpy as np
import pytest

import tfzip
from tests.distillation.small import LABELS, network, samples
from tfzip.errors import DataError, OptionError, TfzipError

X, Y = samples()
EPOCHS, STEPS = 3, 3


def batches(epoch, seed=0):
    """Yields augmented batches that depend on the epoch alone."""
    rng = np.random.default_rng([seed, epoch])
    for rows in np.split(rng.permutation(len(X)), STEPS):
        yield X[rows] + rng.normal(scale=0.1, size=X[rows].shape).astype(np.float32), Y[rows]


def endless():
    for epoch in range(EPOCHS):
        yield from batches(epoch)


def fitted(teacher, source, losses=("kd", "mse")):
    keras.utils.set_random_seed(0)
    distiller = tfzip.Distiller(teacher, network(4), losses)
    distiller.compile("adam", **LABELS)
    history = distiller.fit(
        source, steps_per_epoch=STEPS, epochs=EPOCHS, validation_data=(X, Y), shuffle=False, verbose=0
    ).history
    return distiller.student.get_weights(), history


class Counted(keras.Model):
    """Counts the batches that it is asked about."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.asked = inner, 0
        self(X[:1])
        self.asked = 0

    def call(self, x):
        self.asked += 1
        return self.inner(x)


def test_a_student_learns_from_the_answers_what_it_learns_from_the_teacher(tmp_path):
    teacher = network(8)
    cached = tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=EPOCHS)
    assert (cached.epochs, cached.steps) == (EPOCHS, STEPS)
    direct, told = fitted(teacher, endless()), fitted(cached, cached.batches())
    for one, other in zip(direct[0], told[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert told[1]["loss"] == pytest.approx(direct[1]["loss"], rel=1e-4)
    assert told[1]["val_loss"] == pytest.approx(direct[1]["val_label_loss"], rel=1e-4)


def test_what_is_there_is_not_asked_again(tmp_path):
    teacher = Counted(network(8))
    tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=2)
    asked = teacher.asked
    tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=2)
    again = teacher.asked - asked
    tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=3)
    assert teacher.asked - asked - again - again == STEPS
    assert asked - again == 2 * STEPS  # besides what reading its outputs takes


def test_a_cache_that_was_interrupted_goes_on(tmp_path):
    def interrupted(epoch):
        for step, batch in enumerate(batches(epoch)):
            if (epoch, step) == (1, 1):
                raise KeyboardInterrupt
            yield batch

    teacher, folder = network(8), tmp_path / "cache"
    with pytest.raises(KeyboardInterrupt):
        tfzip.cache_teacher(teacher, interrupted, folder, epochs=2)
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-0000.npz", "teacher.json"]
    cached = tfzip.cache_teacher(teacher, batches, folder, epochs=2)
    assert len(list(cached.batches())) == 2 * STEPS
    assert len(list(cached.batches(first_epoch=1))) == STEPS


def test_answers_are_those_of_the_teacher(tmp_path):
    teacher = network(8)
    cached = tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=1)
    for (packed, y), (x, labels) in zip(cached.batches(), batches(0), strict=True):
        np.testing.assert_array_equal(packed["inputs"], x)
        np.testing.assert_array_equal(y, labels)
        np.testing.assert_allclose(packed["answers"][0], teacher(x), rtol=1e-5, atol=1e-6)


def test_another_teacher_and_other_batches_are_refused_before_the_first_step(tmp_path):
    teacher = network(8)
    tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=1)
    with pytest.raises(OptionError, match="answers of another teacher"):
        tfzip.cache_teacher(network(8), batches, tmp_path / "cache", epochs=1)
    with pytest.raises(DataError, match="Batch 0 of epoch 0 is another"):
        tfzip.cache_teacher(teacher, lambda epoch: batches(epoch, seed=1), tmp_path / "cache", epochs=1)


def test_a_source_that_changes_later_is_noticed_at_its_batch(tmp_path):
    calls = []

    def changing(epoch):
        calls.append(epoch)
        for step, (x, y) in enumerate(batches(epoch)):
            yield x + (len(calls) > 1 and step == 1), y

    cached = tfzip.cache_teacher(network(8), changing, tmp_path / "cache", epochs=1)
    with pytest.raises(DataError, match="Batch 1 of epoch 0"):
        list(cached.batches())


def test_a_damaged_file_is_named(tmp_path):
    teacher = network(8)
    tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=1)
    path = tmp_path / "cache/epoch-0000.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"epoch-0000\.npz.*asked again"):
        tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=1)


def test_features_and_saving_need_the_teacher_itself(tmp_path):
    cached = tfzip.cache_teacher(network(8), batches, tmp_path / "cache", epochs=1)
    with pytest.raises(OptionError, match="a cache holds outputs alone"):
        tfzip.Distiller(cached, network(4), "hint")
    with pytest.raises(OptionError, match=r"Save distiller\.student"):
        tfzip.Distiller(cached, network(4), "kd").save(tmp_path / "d.keras")
    probable = tfzip.cache_teacher(network(8, end="softmax"), batches, tmp_path / "other", epochs=1)
    with pytest.raises(OptionError, match="returns probabilities"):
        tfzip.Distiller(probable, network(4), "kd")


def test_the_student_is_rounded_while_it_learns_from_answers(tmp_path):
    cached = tfzip.cache_teacher(network(8), batches, tmp_path / "cache", epochs=EPOCHS)
    distiller = tfzip.Distiller(cached, network(4), "kd")
    distiller.compile("adam", **LABELS)
    callbacks = [tfzip.QuantizationCallback("int8")]
    distiller.fit(
        cached.batches(), steps_per_epoch=STEPS, epochs=EPOCHS, callbacks=callbacks, shuffle=False, verbose=0
    )
    artifact = tfzip.export(distiller.student, tmp_path / "s.tflite")
    assert tfzip.parity(distiller.student, artifact, X).max_lsb == 0


def dense(activation, end=None, width=4):
    layers = [keras.layers.Flatten(), keras.layers.Dense(width, activation), keras.layers.Dense(3, end)]
    return keras.Sequential([keras.Input(X.shape[1:]), *layers])


@pytest.mark.parametrize("other", [dense("tanh"), dense("relu", "softmax")], ids=["inside", "end"])
def test_a_teacher_with_the_same_weights_that_computes_something_else_is_another(tmp_path, other):
    teacher = dense("relu")
    other.set_weights(teacher.get_weights())
    tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=1)
    with pytest.raises(OptionError, match="answers of another teacher"):
        tfzip.cache_teacher(other, batches, tmp_path / "cache", epochs=1)
    same = dense("relu")  # under other names
    same.set_weights(teacher.get_weights())
    tfzip.cache_teacher(same, batches, tmp_path / "cache", epochs=1)


def test_files_of_nobody_and_of_another_teacher_are_refused(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    teacher = dense("relu")
    tfzip.cache_teacher(teacher, batches, one, epochs=1)
    tfzip.cache_teacher(dense("tanh"), batches, other, epochs=1)
    (one / "epoch-0000.npz").write_bytes((other / "epoch-0000.npz").read_bytes())
    with pytest.raises(OptionError, match=r"epoch-0000\.npz holds the answers of another teacher"):
        tfzip.cache_teacher(teacher, batches, one, epochs=1)
    (one / "teacher.json").unlink()
    with pytest.raises(OptionError, match=r"teacher\.json, which says whose, is missing"):
        tfzip.cache_teacher(teacher, batches, one, epochs=1)


def changed(step, *, labels=0, count=STEPS):
    def source(epoch):
        for index, (x, y) in enumerate(batches(epoch)):
            if index < count:
                yield x + (index == step and not labels), y + (index == step) * labels

    return source


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (changed(2), "Batch 2 of epoch 0"),
        (changed(1, labels=1), "Batch 1 of epoch 0"),
        (changed(None, count=2), "Epoch 0 has 2 batches, and the teacher saw 3"),
    ],
    ids=["inputs", "labels", "fewer"],
)
def test_all_batches_are_compared_before_the_first_step_unless_it_is_asked_not_to(tmp_path, source, message):
    teacher = dense("relu")
    tfzip.cache_teacher(teacher, batches, tmp_path, epochs=2)
    with pytest.raises(DataError, match=message):
        tfzip.cache_teacher(teacher, source, tmp_path, epochs=2)
    cached = tfzip.cache_teacher(teacher, source, tmp_path, epochs=2, check_all=False)
    with pytest.raises(DataError, match=message):
        list(cached.batches())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda place: (place / "teacher.json").write_text("{"), "cannot be read"),
        (lambda place: (place / "teacher.json").write_text("[]"), "does not describe a teacher"),
        (lambda place: (place / "teacher.json").write_text('{"version": 1}'), "another version"),
    ],
)
def test_a_folder_that_says_nothing_of_its_teacher_is_one_line(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(TfzipError, match=message) as caught:
        tfzip.cache_teacher(dense("relu"), batches, tmp_path, epochs=1)
    assert "\n" not in str(caught.value)


def test_wrong_arguments_of_a_cache_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    tries = [
        ({"folder": tmp_path / "file"}, "is a file"),
        ({"batches": [(X, Y)]}, "a function from the number of an epoch"),
        ({"batches": lambda epoch: [X]}, "tuple"),
        ({"batches": lambda epoch: [(X[:, :4], Y)]}, "Asking the teacher failed"),
    ]
    for index, (options, message) in enumerate(tries):
        given = {"batches": batches, "folder": tmp_path / str(index), **options}
        with pytest.raises(TfzipError, match=message) as caught:
            tfzip.cache_teacher(dense("relu"), **given, epochs=1)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("epochs", [0, True, 1.5])
def test_epochs_are_whole_numbers(tmp_path, epochs):
    with pytest.raises(OptionError, match="whole number of at least 1"):
        tfzip.cache_teacher(network(8), batches, tmp_path / "cache", epochs=epochs)


def made(cached):
    distiller = tfzip.Distiller(cached, network(4), "kd")
    distiller.compile("adam", **LABELS)
    return distiller


def test_a_fit_on_samples_without_answers_is_refused(tmp_path):
    distiller = made(tfzip.cache_teacher(network(8), batches, tmp_path / "cache", epochs=1))
    for data in ((X, Y), (batches(0),)):
        with pytest.raises(OptionError, match=r"Fit on cached\.batches\(\)"):
            distiller.fit(*data, verbose=0)


def test_validation_without_answers_logs_no_distillation(tmp_path):
    cached = tfzip.cache_teacher(network(8), batches, tmp_path / "cache", epochs=EPOCHS)
    _, history = fitted(cached, cached.batches())
    assert {"kd_loss", "mse_loss", "val_loss", "val_label_loss"} <= set(history)
    assert not {"val_kd_loss", "val_mse_loss"} & set(history)


@pytest.mark.parametrize("options", [{"epochs": 3, "steps_per_epoch": STEPS}, {"epochs": 2}])
def test_a_fit_that_is_longer_than_the_cache_is_refused(tmp_path, options):
    cached = tfzip.cache_teacher(network(8), batches, tmp_path / "cache", epochs=2)
    with pytest.raises(OptionError, match="answers for 2 epochs of 3 steps"):
        made(cached).fit(cached.batches(), verbose=0, **options)


def test_a_callback_that_would_save_the_cache_is_refused(tmp_path):
    cached = tfzip.cache_teacher(network(8), batches, tmp_path / "cache", epochs=1)
    saver = keras.callbacks.ModelCheckpoint(tmp_path / "x.keras")
    with pytest.raises(OptionError, match="save_weights_only=True"):
        made(cached).fit(cached.batches(), steps_per_epoch=STEPS, callbacks=[saver], verbose=0)
    assert not (tmp_path / "x.keras").exists()
