"""Logits and probabilities: said, seen at the end of a model, or seen in what it returns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzip
from tests.distillation.small import Subclassed, network, samples
from tfzip.distillation.losses import KdLoss
from tfzip.errors import OptionError

X, Y = samples()
QUICK = {"epochs": 1, "verbose": 0, "shuffle": False}


class Hidden(Subclassed):
    """Ends in a softmax that no layer shows."""

    def call(self, x):
        return tf.nn.softmax(super().call(x))


def built(model):
    model(X[:2])
    return model


def made(teacher, student, **options):
    distiller = tfzip.Distiller(teacher, student, "kd", **options)
    distiller.compile("adam")
    return distiller


def batches(epoch=0):
    for start in range(0, len(X), 8):
        yield X[start : start + 8], Y[start : start + 8]


def test_logits_where_probabilities_are_said_are_refused_before_the_first_step():
    for pair, whose in (((network(8), network(4, end="softmax")), "teacher"),
                        ((network(8, end="softmax"), network(4)), "student")):  # fmt: skip
        distiller = made(*pair, from_logits=False)
        with pytest.raises(OptionError, match=rf"the {whose} .* returns logits.*from_logits=True") as caught:
            distiller.fit(X, Y, **QUICK)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("said", [(True, False), [None, False], None])
def test_a_teacher_with_logits_teaches_a_student_with_probabilities(said):
    distiller = made(network(8), network(4, end="softmax"), from_logits=said)
    distiller.fit(X, Y, **QUICK)
    found = distiller.test_on_batch(X[:8], return_dict=True)["kd_loss"]
    values = KdLoss()(distiller.teacher(X[:8]), tf.math.log(distiller.student(X[:8])))
    assert found == pytest.approx(float(tf.reduce_mean(values)), rel=1e-4)


def test_what_is_not_said_is_seen_in_the_first_outputs():
    distiller = made(built(Hidden(8)), built(Subclassed(4)), from_logits=None)
    distiller.train_on_batch(X[:8])  # nothing was looked at yet
    distiller.fit(batches(), steps_per_epoch=3, **QUICK)
    found = distiller.test_on_batch(X[:8], return_dict=True)["kd_loss"]
    values = KdLoss()(tf.math.log(distiller.teacher(X[:8])), distiller.student(X[:8]))
    assert found == pytest.approx(float(tf.reduce_mean(values)), rel=1e-4)


def test_hidden_probabilities_are_seen_by_generators_and_caches(tmp_path):
    teacher = built(Hidden(8))
    with pytest.raises(OptionError, match="returns probabilities"):
        made(teacher, built(Subclassed(4))).fit(batches(), **QUICK)
    cached = tfzip.cache_teacher(teacher, batches, tmp_path / "cache", epochs=1)
    with pytest.raises(OptionError, match="returns probabilities"):
        made(cached, built(Subclassed(4))).fit(cached.batches(), steps_per_epoch=cached.steps, **QUICK)


def test_a_generator_that_was_looked_at_still_gives_its_first_batch():
    seen = []

    def counted():
        for batch in batches():
            seen.append(len(batch[0]))
            yield batch

    history = made(network(8), network(4)).fit(counted(), steps_per_epoch=3, **QUICK)
    assert len(seen) == 3
    assert np.isfinite(history.history["kd_loss"][0])


def test_a_sigmoid_at_the_end_is_neither():
    for said in (True, False):
        with pytest.raises(OptionError, match=r"ends in a sigmoid.*'mse'"):
            made(network(8, end="sigmoid"), network(4, end="sigmoid"), from_logits=said)
    tfzip.Distiller(network(8, end="sigmoid"), network(4, end="sigmoid"), "mse")


@pytest.mark.parametrize("said", ["yes", (True,), (True, 1)])
def test_what_is_said_is_checked(said):
    with pytest.raises(OptionError, match="or a pair of these"):
        made(network(8), network(4), from_logits=said)


def test_a_pair_is_saved_with_the_distiller(tmp_path):
    distiller = made(network(8), network(4, end="softmax"), from_logits=(None, False))
    distiller.fit(X, Y, **QUICK)
    distiller.save(tmp_path / "d.keras")
    assert list(keras.saving.load_model(tmp_path / "d.keras").from_logits) == [None, False]
