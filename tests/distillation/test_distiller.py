"""The distiller in the ordinary `fit`: what is trained, what is not, weights, saving, bad input."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tests.distillation.small import LABELS, Subclassed, network, samples
from tfzip.distillation.losses import KdLoss
from tfzip.errors import OptionError, UnknownNameError
from tfzip.quantization_record import record_of

X, Y = samples()
QUICK = {"batch_size": 8, "verbose": 0}


def values(model):
    return [np.array(variable) for variable in model.variables]


def same(before, after):
    return all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def made(losses="kd", teacher=None, student=None, **options):
    keras.utils.set_random_seed(0)
    distiller = tfzip.Distiller(teacher or network(8), student or network(4), losses, **options)
    distiller.compile("adam", **LABELS)
    return distiller


def test_only_the_student_changes_and_evaluating_changes_nothing():
    distiller = made(["kd", "hint"])
    teacher, student, projectors = (
        values(distiller.teacher), values(distiller.student), [values(one) for one in distiller.projectors]
    )  # fmt: skip
    distiller.fit(X, Y, epochs=2, validation_data=(X, Y), **QUICK)
    assert same(teacher, values(distiller.teacher))
    assert distiller.teacher.trainable
    assert not any(same([old], [new]) for old, new in zip(student, values(distiller.student), strict=True))
    assert [same(old, values(one)) for old, one in zip(projectors, distiller.projectors, strict=True)] == [
        False
    ] * 2
    before = values(distiller)
    distiller.evaluate(X, Y, verbose=0)
    distiller.predict(X, verbose=0)
    assert same(before, values(distiller))


def test_a_step_runs_each_model_once():
    counts = {"teacher": 0, "student": 0}

    class Counting(keras.layers.Layer):
        def __init__(self, whose):
            super().__init__()
            self.whose = whose

        def call(self, x):
            counts[self.whose] += 1
            return x

    def counted(whose, width):
        inner = network(width)
        return keras.Sequential([keras.Input((8, 8, 2)), Counting(whose), *inner.layers[1:]])

    distiller = made(["kd", "hint"], counted("teacher", 8), counted("student", 4))
    distiller.compile("adam", run_eagerly=True, **LABELS)
    distiller.fit(X, Y, epochs=1, **QUICK)
    distiller.train_on_batch(X[:8], Y[:8])
    counts.update(teacher=0, student=0)
    distiller.train_on_batch(X[:8], Y[:8])
    assert counts == {"teacher": 1, "student": 1}


def test_the_loss_is_the_weighted_sum_of_all_parts():
    student = network(4, penalty=0.1)
    distiller = made("kd", student=student, weights=0.5, label_weight=2.0)
    x, y = X[:8], Y[:8]
    logs = distiller.test_on_batch(x, y, return_dict=True)
    theirs, ours = distiller.teacher(x), student(x)
    kd = float(tf.reduce_mean(KdLoss()(theirs, ours)))
    labels = float(LABELS["loss"](y, ours))
    penalty = 0.1 * sum(float(tf.reduce_sum(student.get_layer(f"conv{i}").kernel ** 2)) for i in range(2))
    assert logs["kd_loss"] == pytest.approx(kd, rel=1e-5)
    assert logs["label_loss"] == pytest.approx(labels, rel=1e-5)
    assert logs["loss"] == pytest.approx(2 * labels + penalty + 0.5 * kd, rel=1e-5)


def test_sample_weights_weigh_every_part():
    distiller = made(["kd", "mse", "hint"])
    first = distiller.test_on_batch(X[:4], Y[:4], return_dict=True)
    distiller.reset_metrics()
    weights = np.array([2.0] * 4 + [0.0] * 4)
    weighed = distiller.test_on_batch(X[:8], Y[:8], sample_weight=weights, return_dict=True)
    for name in ("loss", "kd_loss", "mse_loss", "label_loss", "hint_loss"):
        assert weighed[name] == pytest.approx(first[name], rel=1e-3)


def test_class_weights_reach_the_distillation_losses():
    distiller = made()
    keras.utils.set_random_seed(1)
    nothing = distiller.fit(X, Y, epochs=1, class_weight={0: 0.0, 1: 0.0, 2: 0.0}, **QUICK).history
    assert nothing["loss"][-1] == pytest.approx(0.0, abs=1e-7)


def test_masks_of_maps_choose_positions():
    layers = keras.layers

    def mapper(width):
        return keras.Sequential(
            [keras.Input((8, 8, 2)), layers.Conv2D(width, 3, padding="same"), layers.Dense(3)]
        )

    distiller = tfzip.Distiller(mapper(8), mapper(4), "kd")
    distiller.compile("adam")
    mask = np.zeros((4, 8, 8), np.float32)
    mask[:, :2] = 1
    logs = distiller.test_on_batch(X[:4], np.zeros((4, 8, 8)), sample_weight=mask, return_dict=True)
    values = KdLoss()(distiller.teacher(X[:4]), distiller.student(X[:4]))
    assert logs["kd_loss"] == pytest.approx(float(tf.reduce_mean(values * mask)), rel=1e-5)


@pytest.mark.parametrize("losses", ["kd", ["dkd", "hint"], ["attention_transfer", "relational"]])
def test_distillers_save_load_and_go_on(losses, tmp_path):
    distiller = made(losses)
    distiller.fit(X, Y, epochs=1, **QUICK)
    distiller.save(tmp_path / "d.keras")
    loaded = keras.saving.load_model(tmp_path / "d.keras")
    assert same(values(distiller), values(loaded))
    assert loaded.get_config()["losses"] == distiller.get_config()["losses"]
    histories = [one.fit(X, Y, epochs=1, shuffle=False, **QUICK).history for one in (distiller, loaded)]
    assert histories[0]["loss"] == pytest.approx(histories[1]["loss"], rel=1e-4)
    distiller.student.save(tmp_path / "s.keras")
    np.testing.assert_allclose(
        keras.saving.load_model(tmp_path / "s.keras").predict(X, verbose=0), distiller.predict(X, verbose=0)
    )


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"run_eagerly": True}, {"steps_per_execution": 3, "jit_compile": False}],
    ids=["xla", "eager", "several_steps"],
)
def test_every_way_to_compile_a_step_learns_the_same(options):
    distiller = made(["dkd", "hint"])
    keras.utils.set_random_seed(2)
    reference = distiller.fit(X, Y, epochs=2, shuffle=False, **QUICK).history["loss"]
    other = made(["dkd", "hint"])
    other.compile("adam", **LABELS, **options)
    found = other.fit(X, Y, epochs=2, shuffle=False, **QUICK).history["loss"]
    assert found == pytest.approx(reference, rel=1e-3)


_MIRRORED = """
import json
from contextlib import nullcontext
import keras, numpy as np, tensorflow as tf
import tfzip
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.distillation.small import LABELS, Subclassed, samples
x, y = samples(32)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
found = {}
for name, scope in ("one", nullcontext()), ("two", strategy.scope()):
    keras.utils.set_random_seed(0)
    with scope:
        teacher, student = Subclassed(8), Subclassed(4)
        for model in (teacher, student):
            model(x[:1])
        distiller = tfzip.Distiller(teacher, student, ["kd", "hint"])
        distiller.compile(keras.optimizers.SGD(0.05), **LABELS)
    history = distiller.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0).history
    found[name] = {"losses": [history[one] for one in ("loss", "kd_loss", "hint_loss", "label_loss")],
                   "kernel": np.ravel(student.head.kernel).tolist()}
print(json.dumps({"replicas": strategy.num_replicas_in_sync, **found}))
"""


def test_two_replicas_learn_what_one_learns():
    done = subprocess.run([sys.executable, "-c", _MIRRORED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["replicas"] == 2
    for part in ("losses", "kernel"):
        np.testing.assert_allclose(found["two"][part], found["one"][part], rtol=1e-3, atol=1e-6)


def test_a_student_learns_from_its_teacher_without_labels():
    teacher = network(8)
    teacher.compile("adam", **LABELS)
    teacher.fit(X, Y, epochs=30, **QUICK)
    distiller = tfzip.Distiller(teacher, network(8), "kd")
    distiller.compile(keras.optimizers.Adam(1e-2))
    history = distiller.fit(X, epochs=25, **QUICK).history
    assert history["kd_loss"][-1] < 0.3 * history["kd_loss"][0]


def test_mixed_precision_students_have_finite_losses_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        student = network(4)
        distiller = tfzip.Distiller(network(8), student, ["dkd", "hint", "relational"], dtype="mixed_float16")
        distiller.compile("adam", **LABELS)
        history = distiller.fit(X, Y, epochs=2, **QUICK).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite([series[-1] for series in history.values()]).all()


def test_subclassed_models_are_taught_by_outputs_and_features():
    teacher, student = Subclassed(8), Subclassed(4)
    for model in (teacher, student):
        model(X[:2])
    distiller = made(["kd", {"name": "hint", "layers": "conv*"}], teacher, student)
    assert len(distiller.projectors) == 2
    assert np.isfinite(distiller.fit(X, Y, epochs=1, **QUICK).history["hint_loss"][-1])


def test_features_are_those_of_the_last_layer_of_each_resolution():
    distiller = made("attention_transfer")
    pairs = distiller._terms.value[0].pairs
    assert [(pair.teacher.path, pair.student.path) for pair in pairs] == [
        ("relu0", "relu0"),
        ("relu1", "relu1"),
    ]


def test_models_with_several_outputs_are_compared_by_name():
    def two_headed(width):
        inner = network(width)
        box = keras.layers.Dense(2, name="box")(inner.get_layer("pool").output)
        return keras.Model(inner.input, {"head": inner.output, "box": box})

    losses = [{"name": "kd", "output": "head"}, {"name": "mse", "output": "box"}]
    distiller = tfzip.Distiller(two_headed(8), two_headed(4), losses)
    distiller.compile("adam", {"head": LABELS["loss"], "box": "mse"})
    history = distiller.fit(X, {"head": Y, "box": np.zeros((24, 2))}, epochs=1, **QUICK).history
    assert {"kd_loss", "mse_loss", "head_loss", "box_loss"} <= set(history)
    assert np.isfinite(history["loss"][-1])


def two_outputs(width):
    inner = network(width)
    other = keras.layers.Dense(3, name="b")(inner.get_layer("pool").output)
    return keras.Model(inner.input, [keras.layers.Identity(name="a")(inner.output), other])


def parts(losses, sample_weight):
    """Returns what an evaluation logs, and what each output's KD values of each sample are."""
    keras.utils.set_random_seed(0)
    distiller = tfzip.Distiller(two_outputs(8), two_outputs(4), losses)
    distiller.compile("adam")
    logs = distiller.test_on_batch(X[:4], [Y[:4]] * 2, sample_weight=sample_weight, return_dict=True)
    return logs, [
        KdLoss()(*pair) for pair in zip(distiller.teacher(X[:4]), distiller.student(X[:4]), strict=True)
    ]


ONE, OTHER = np.array([1.0, 0.0, 2.0, 0.5], np.float32), np.array([0.0, 3.0, 1.0, 1.0], np.float32)


def test_a_loss_of_one_output_is_weighed_by_the_weights_of_that_output():
    logs, (_, of_b) = parts({"name": "kd", "output": "b"}, [ONE, OTHER])
    assert logs["kd_loss"] == pytest.approx(float(np.mean(of_b * OTHER)), rel=1e-5)


def test_an_output_without_weights_counts_whole():
    logs, (of_a, of_b) = parts("kd", [None, OTHER])
    assert logs["kd_loss"] == pytest.approx(float(np.mean(of_a) + np.mean(of_b * OTHER)), rel=1e-5)


def test_features_take_the_mean_of_the_weights_of_all_outputs():
    values = [parts("relational", weights)[0]["relational_loss"] for weights in ([ONE, None], (ONE + 1) / 2)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def named(width, names, structure):
    inner = network(width)
    outputs = [keras.layers.Dense(3, name=name)(inner.get_layer("pool").output) for name in names]
    return keras.Model(inner.input, structure(zip(names, outputs, strict=True)))


def listed(pairs):
    return [output for _, output in pairs]


def test_outputs_with_the_same_names_are_paired_by_name():
    for teacher in (named(8, "ab", listed), named(8, "ab", dict)):
        distiller = tfzip.Distiller(teacher, named(4, "ba", listed), {"name": "mse", "output": "a"})
        distiller.compile("adam")
        found = distiller.test_on_batch(X[:8], return_dict=True)["mse_loss"]
        theirs, ours = keras.tree.flatten(teacher(X[:8]))[0], distiller.student(X[:8])[1]
        assert found == pytest.approx(float(tf.reduce_mean((theirs - ours) ** 2)), rel=1e-5)


@pytest.mark.parametrize("structure", [dict, listed])
def test_outputs_that_are_keyed_by_other_names_are_refused(structure):
    with pytest.raises(OptionError, match="returns a, b and the student .* c, d"):
        tfzip.Distiller(named(8, "ab", dict), named(4, "cd", structure), "kd")


def test_a_student_that_is_its_teacher_or_shares_what_is_trained_is_refused():
    model = network(4)
    with pytest.raises(OptionError, match="the same model"):
        tfzip.Distiller(model, model, "kd")
    shared = keras.Model(model.input, keras.layers.Dense(3)(model.get_layer("pool").output))
    with pytest.raises(OptionError, match="share conv0/kernel.* and 3 more"):
        tfzip.Distiller(model, shared, "kd")
    for layer in shared.layers[:-1]:
        layer.trainable = False
    tfzip.Distiller(model, shared, "kd")


def test_positions_that_layers_mask_count_neither_for_labels_nor_for_the_teacher():
    def tagger(width):
        layers = [
            keras.layers.Embedding(5, width, mask_zero=True),
            keras.layers.LSTM(4, return_sequences=True),
        ]
        return keras.Sequential([keras.Input((6,)), *layers, keras.layers.Dense(3)])

    distiller = tfzip.Distiller(tagger(8), tagger(4), "kd")
    distiller.compile("adam", **LABELS)
    tokens = np.array([[1, 2, 0, 0, 0, 0], [3, 4, 1, 2, 0, 0]])
    logs = distiller.test_on_batch(tokens, np.zeros((2, 6)), return_dict=True)
    values = KdLoss()(distiller.teacher(tokens), distiller.student(tokens))
    assert logs["kd_loss"] == pytest.approx(float(np.mean(values[tokens > 0])), rel=1e-4)


def test_near_names_of_layers_in_nested_models_are_given_whole():
    inner = network(4, name="backbone")
    outer = keras.Sequential([keras.Input((8, 8, 2)), inner, keras.layers.Dense(3)])
    for name in ("relu1", "relu_1"):
        with pytest.raises(OptionError, match="Did you mean 'backbone/relu1'"):
            tfzip.Distiller(network(8), outer, {"name": "hint", "layers": {name: "relu1"}})


def test_numbers_of_numpy_are_numbers(tmp_path):
    loss = {"name": "kd", "temperature": np.float32(4)}
    distiller = made(loss, weights=np.float32(0.5), label_weight=np.float32(0.5))
    distiller.fit(X, Y, epochs=1, **QUICK)
    distiller.save(tmp_path / "d.keras")
    assert keras.saving.load_model(tmp_path / "d.keras").label_weight == 0.5


def test_pruning_and_rounding_work_on_the_student_alone(tmp_path):
    distiller = made()
    before = values(distiller.teacher)
    callbacks = [
        tfzip.PruningCallback(schedule=tfzip.ConstantSchedule(0.5)),
        tfzip.QuantizationCallback("int8", calibration=X),
    ]
    distiller.fit(X, Y, epochs=2, callbacks=callbacks, **QUICK)
    assert same(before, values(distiller.teacher))
    assert record_of(distiller.teacher) is None
    assert np.mean(distiller.student.get_layer("conv1").kernel == 0) == pytest.approx(0.5, abs=0.01)
    artifact = tfzip.export(distiller.student, tmp_path / "student.tflite")
    assert artifact.scheme == "int8"
    assert tfzip.parity(distiller.student, artifact, X).max_lsb == 0


def test_probabilities_are_taken_when_it_is_said():
    teacher, student = network(8, end="softmax"), network(4, end="softmax")
    distiller = tfzip.Distiller(teacher, student, "kd", from_logits=False)
    distiller.compile("adam")
    logs = distiller.test_on_batch(X[:8], return_dict=True)
    logits = [np.log(np.asarray(model(X[:8]))) for model in (teacher, student)]
    assert logs["kd_loss"] == pytest.approx(float(tf.reduce_mean(KdLoss()(*logits))), rel=1e-4)


def test_probabilities_of_models_that_hide_their_end_are_seen_before_the_first_step():
    class Hidden(Subclassed):
        def call(self, x):
            return tf.nn.softmax(super().call(x))

    student = Subclassed(4)
    teacher = Hidden(8)
    for model in (teacher, student):
        model(X[:2])
    distiller = made("kd", teacher, student)
    before = values(student)
    for data in ((X, Y), (tf.data.Dataset.from_tensor_slices((X, Y)).batch(8),)):
        with pytest.raises(OptionError, match="returns probabilities. Pass from_logits=False"):
            distiller.fit(*data, verbose=0)
    assert same(before, values(student))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: made(student=network(classes=5)), OptionError, r"is \(5,\) in the student"),
        (lambda: made(student=network(end="softmax")), OptionError, "returns probabilities"),
        (lambda: made("kdd"), UnknownNameError, "Did you mean 'kd'"),
        (lambda: made({"name": "hint", "layers": "convo0"}), OptionError, "Did you mean 'conv0'"),
        (lambda: made({"name": "hint", "layers": {"conv*": "conv0"}}), OptionError, "matches 2 layers"),
        (lambda: made({"name": "kd", "output": "tail"}), UnknownNameError, "tail"),
        (lambda: made({"name": "hint", "layers": {"conv0": "conv1"}}), OptionError, "the last axis only"),
        (lambda: made([]), OptionError, "at least one loss"),
        (lambda: made(None), OptionError, "Losses are names.* Received: NoneType"),
        (lambda: made(["kd", 5]), OptionError, "Losses are names.* Received: int"),
        (lambda: made(keras.losses.MeanSquaredError()), OptionError, "Losses are names"),
        (lambda: made({"name": "hint", "layers": []}), OptionError, "at least one layer"),
        (lambda: made({"name": "hint", "layers": {}}), OptionError, "at least one layer"),
        (lambda: made({"name": "hint", "layers": {"relu0": ["relu0"]}}), OptionError, "at least one layer"),
        (lambda: made({"name": "hint", "layers": [5]}), OptionError, "'auto', a glob, or a mapping"),
        (lambda: made({"name": "relational", "angle": "a"}), OptionError, "are weights of at least 0"),
        (lambda: made("kd", weights=float("inf")), OptionError, "finite numbers"),
        (lambda: made("kd", weights={"kd": 1}), OptionError, "Weights of losses"),
        (lambda: made("kd", weights=[1, 2]), OptionError, "one number for each"),
        (lambda: made("kd", weights=-1), OptionError, "at least 0"),
        (lambda: made(label_weight=-1), OptionError, "label_weight"),
        (lambda: made(student=keras.Sequential([keras.Input((4, 4, 2)), keras.layers.Flatten()])),
         OptionError, "takes inputs of"),
        (lambda: made("kd", network(classes=1), network(classes=1)), OptionError, "Use 'mse'"),
        (lambda: tfzip.Distiller("teacher.keras", network()), OptionError, "is a keras.Model"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_before_the_first_step(make, kind, message):
    with pytest.raises(kind, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
