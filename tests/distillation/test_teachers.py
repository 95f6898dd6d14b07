"""Several teachers, a teacher that follows its student, and distillation that comes in slowly."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tests.distillation.small import LABELS, network, samples
from tfzip.distillation.losses import KdLoss
from tfzip.errors import ModelError, OptionError

X, Y = samples()
QUICK = {"batch_size": 8, "verbose": 0}


def test_an_ensemble_gives_the_weighted_mean_and_loads(tmp_path):
    teachers = [network(8, name="same"), network(4, name="same")]
    together = tfzip.ensemble(teachers, [3, 1])
    wanted = 0.75 * teachers[0](X) + 0.25 * teachers[1](X)
    np.testing.assert_allclose(together(X), wanted, rtol=1e-5, atol=1e-6)
    together.save(tmp_path / "e.keras")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "e.keras")(X), wanted, rtol=1e-5, atol=1e-6)


def test_members_of_an_ensemble_stay_as_they_are():
    teachers = [network(8), network(4)]
    before = [[np.array(weight) for weight in one.weights] for one in teachers]
    distiller = tfzip.Distiller(tfzip.ensemble(teachers), network(4), "kd")
    distiller.compile("adam", **LABELS)
    distiller.fit(X, Y, epochs=1, **QUICK)
    for one, old in zip(teachers, before, strict=True):
        for weight, value in zip(one.weights, old, strict=True):
            np.testing.assert_array_equal(weight, value)


def test_teachers_that_end_in_softmax_are_averaged_as_probabilities():
    together = tfzip.ensemble([network(4, end="softmax"), network(8, end="softmax")])
    distiller = tfzip.Distiller(together, network(4, end="softmax"), "kd", from_logits=False)
    distiller.compile("adam")
    value = distiller.test_on_batch(X[:8], return_dict=True)["kd_loss"]
    logits = [np.log(np.asarray(model(X[:8]))) for model in (together, distiller.student)]
    assert value == pytest.approx(float(tf.reduce_mean(KdLoss()(*logits))), rel=1e-4)


def test_features_of_an_ensemble_are_those_of_a_member_that_is_named():
    together = tfzip.ensemble([network(8), network(6)], [0, 1])
    with pytest.raises(
        OptionError, match="features of one model, and the teacher 'ensemble' has 2.*teacher_0/"
    ):
        tfzip.Distiller(together, network(4), "hint")
    losses = [{"name": "hint", "layers": {"relu1": f"teacher_{index}/*relu1"}} for index in (0, 1)]
    distiller = tfzip.Distiller(together, network(4), losses)
    distiller.compile("adam", **LABELS)
    history = distiller.fit(X, Y, epochs=1, **QUICK).history
    assert np.isfinite([history["hint_loss"], history["hint_1_loss"]]).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: tfzip.ensemble([]),
        lambda: tfzip.ensemble(None),
        lambda: tfzip.ensemble([network()], ["a"]),
        lambda: tfzip.ensemble(
            [network(), keras.Sequential([keras.Input((4, 4, 2)), keras.layers.Flatten()])]
        ),
        lambda: tfzip.EmaTeacherCallback("a"),
        lambda: tfzip.DistillationWarmUp(2, weight="a"),
        lambda: tfzip.ensemble([network()], [1, 2]),
        lambda: tfzip.ensemble([network()], [0]),
        lambda: tfzip.ensemble([network(), network(classes=4)]),
    ],
)
def test_bad_ensembles_are_one_line(make):
    with pytest.raises(OptionError) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_teacher_follows_its_student_by_the_average_of_the_paper():
    student = network(4)
    teacher = keras.models.clone_model(student)
    teacher.set_weights(student.get_weights())
    expected = [weight.copy() for weight in teacher.get_weights()]

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for place, weight in enumerate(student.get_weights()):
                expected[place] = 0.9 * expected[place] + 0.1 * weight

    distiller = tfzip.Distiller(teacher, student, "mse")
    distiller.compile(keras.optimizers.Adam(0.01), **LABELS)
    distiller.fit(X, Y, epochs=2, callbacks=[Follow(), tfzip.EmaTeacherCallback(0.9)], **QUICK)
    for own, wanted in zip(teacher.get_weights(), expected, strict=True):
        np.testing.assert_allclose(own, wanted, rtol=1e-4, atol=1e-6)
    assert any(np.any(a != b) for a, b in zip(teacher.get_weights(), student.get_weights(), strict=True))


def test_a_teacher_that_cannot_follow_is_refused():
    with pytest.raises(OptionError, match="momentum"):
        tfzip.EmaTeacherCallback(1.0)
    distiller = tfzip.Distiller(network(8), network(4))
    distiller.compile("adam", **LABELS)
    plain = network(4)
    plain.compile("adam", **LABELS)
    for model in (distiller, plain):
        with pytest.raises(ModelError, match=r"clone_model\(student\)"):
            model.fit(X, Y, callbacks=[tfzip.EmaTeacherCallback()], **QUICK)


def test_distillation_comes_in_along_a_line_and_ends_whole():
    distiller = tfzip.Distiller(network(8), network(4), "kd")
    distiller.compile(keras.optimizers.SGD(0.0), **LABELS)
    seen = distiller.fit(
        X, Y, epochs=4, callbacks=[tfzip.DistillationWarmUp(2, weight=0.0)], shuffle=False, **QUICK
    ).history
    shares = [
        (loss - labels) / kd
        for loss, labels, kd in zip(seen["loss"], seen["label_loss"], seen["kd_loss"], strict=True)
    ]
    np.testing.assert_allclose(shares, [0.0, 0.5, 1.0, 1.0], atol=1e-3)
    assert [float(variable) for variable in distiller._shares] == [1.0, 1.0]


def test_the_temperature_is_what_the_share_makes_of_it():
    distiller = tfzip.Distiller(network(8), network(4), {"name": "kd", "temperature": 4.0})
    distiller.compile("adam", **LABELS)
    distiller.set_shares(weight=1.0, temperature=0.5)
    found = distiller.test_on_batch(X[:8], Y[:8], return_dict=True)["kd_loss"]
    values = KdLoss(temperature=2.0)(distiller.teacher(X[:8]), distiller.student(X[:8]))
    assert found == pytest.approx(float(tf.reduce_mean(values)), rel=1e-4)


def test_bad_warm_ups_are_one_line():
    for options in ({"epochs": 0}, {"epochs": 2, "weight": 2.0}, {"epochs": 2, "temperature": 0.0}):
        with pytest.raises(OptionError):
            tfzip.DistillationWarmUp(**options)
    plain = network(4)
    plain.compile("adam", **LABELS)
    with pytest.raises(ModelError, match=r"tfzip\.Distiller"):
        plain.fit(X, Y, callbacks=[tfzip.DistillationWarmUp(2)], **QUICK)
