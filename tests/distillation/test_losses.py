"""Every loss and its gradient against a plain NumPy version in double precision."""

import numpy as np
import pytest
import tensorflow as tf

from tfzip.distillation.losses import (
    AttentionTransferLoss,
    ContrastiveLoss,
    DkdLoss,
    HintLoss,
    KdLoss,
    RelationalLoss,
    distillation_losses,
)
from tfzip.errors import OptionError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(scale=2.0, size=(2, 5, 4))
MAPS = RNG.normal(size=(2, 5, 3, 3, 4))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def kl(p, q):
    return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))


def kd(teacher, student, temperature=4.0):
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return np.mean([temperature**2 * kl(a, b) for a, b in zip(p, q, strict=True)])


def dkd(teacher, student, alpha=1.0, beta=8.0, temperature=4.0):
    total = 0.0
    for one, other in zip(teacher, student, strict=True):
        target = int(np.argmax(one))
        p, q = softmax(one / temperature), softmax(other / temperature)
        rest = [index for index in range(len(p)) if index != target]
        of_target = kl([p[target], 1 - p[target]], [q[target], 1 - q[target]])
        of_rest = kl(p[rest] / p[rest].sum(), q[rest] / q[rest].sum())
        total += temperature**2 * (alpha * of_target + beta * of_rest)
    return total / len(teacher)


def mse(teacher, student):
    return np.mean((teacher - student) ** 2)


def cosine(teacher, student):
    return np.mean(
        [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(teacher, student, strict=True)]
    )


def attention_transfer(teacher, student):
    def attention(features):
        flat = (features**2).mean(-1).ravel()
        return flat / np.linalg.norm(flat)

    return np.mean(
        [np.mean((attention(a) - attention(b)) ** 2) for a, b in zip(teacher, student, strict=True)]
    )


def similarity_preserving(teacher, student):
    def similarities(features):
        rows = features.reshape(len(features), -1)
        products = rows @ rows.T
        return products / np.linalg.norm(products, axis=1, keepdims=True)

    return np.sum((similarities(teacher) - similarities(student)) ** 2) / len(teacher) ** 2


def huber(x):
    return 0.5 * x**2 if abs(x) <= 1 else abs(x) - 0.5


def relational(teacher, student, distance=25.0, angle=50.0):
    count = len(teacher)

    def relations(features):
        rows = features.reshape(count, -1)
        far = [[np.linalg.norm(a - b) for b in rows] for a in rows]
        mean = np.sum(far) / (count * (count - 1))

        def direction(a, b):
            return (b - a) / max(np.linalg.norm(b - a), 1e-300)

        turned = [
            direction(rows[i], rows[j]) @ direction(rows[i], rows[k])
            for i in range(count)
            for j in range(count)
            for k in range(count)
        ]
        return np.ravel(far) / mean, np.array(turned)

    (d_t, a_t), (d_s, a_s) = relations(teacher), relations(student)
    of_distances = np.mean([huber(x) for x in d_t - d_s])
    return distance * of_distances + angle * np.mean([huber(x) for x in a_t - a_s])


def contrastive(teacher, student, temperature=0.1):
    def directions(features):
        rows = features.mean((1, 2))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    near = directions(student) @ directions(teacher).T / temperature
    return -np.mean(np.log(np.diag(softmax(near))))


NAIVE = {
    "kd": (kd, LOGITS),
    "dkd": (dkd, LOGITS),
    "mse": (mse, LOGITS),
    "cosine": (cosine, LOGITS),
    "hint": (mse, MAPS),
    "attention_transfer": (attention_transfer, MAPS),
    "similarity_preserving": (similarity_preserving, MAPS),
    "relational": (relational, MAPS),
    "contrastive": (contrastive, MAPS),
}
ZERO_WHERE_EQUAL = sorted(set(NAIVE) - {"contrastive"})  # others in a batch are never told apart for certain


def test_every_loss_has_its_oracle():
    assert set(NAIVE) == set(distillation_losses)


@pytest.mark.parametrize("name", NAIVE)
def test_a_loss_and_its_gradient_are_those_of_the_paper(name):
    naive, (teacher, student) = NAIVE[name]
    loss = distillation_losses.get(name)
    variable = tf.Variable(student, dtype=tf.float64)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss(tf.constant(teacher, tf.float64), variable))
    np.testing.assert_allclose(value, naive(teacher, student), rtol=1e-6)
    found = np.asarray(tape.gradient(value, variable))
    step, places = 1e-5, RNG.permutation(student.size)[:25]
    for place in (np.unravel_index(index, student.shape) for index in places):
        ends = []
        for sign in (1, -1):
            moved = student.copy()
            moved[place] += sign * step
            ends.append(naive(teacher, moved))
        np.testing.assert_allclose(found[place], (ends[0] - ends[1]) / (2 * step), rtol=2e-4, atol=1e-8)


@pytest.mark.parametrize("name", ZERO_WHERE_EQUAL)
def test_a_student_equal_to_its_teacher_has_no_loss_and_no_gradient(name):
    teacher = tf.constant(NAIVE[name][1][0], tf.float32)
    variable = tf.Variable(teacher)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(distillation_losses.get(name)(teacher, variable))
    assert abs(float(value)) < 1e-6
    gradient = np.asarray(tape.gradient(value, variable))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() < 1e-4


@pytest.mark.parametrize("name", NAIVE)
def test_a_batch_of_one_and_equal_samples_leave_gradients_finite(name):
    teacher, student = NAIVE[name][1]
    for rows in (slice(0, 1), [0, 0, 1]):
        variable = tf.Variable(student[rows], dtype=tf.float32)
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(
                distillation_losses.get(name)(tf.constant(teacher[rows], tf.float32), variable)
            )
        assert np.isfinite(np.asarray(tape.gradient(value, variable))).all()


def test_sure_teachers_leave_losses_finite():
    sure = tf.constant([[80.0, -80.0, 0.0]])
    for name in ("kd", "dkd"):
        assert np.isfinite(np.asarray(distillation_losses.get(name)(sure, -sure))).all()


@pytest.mark.parametrize("name", NAIVE)
@pytest.mark.parametrize("dark", [[1], [0, 1, 2, 3, 4]], ids=["one", "all"])
def test_rows_of_zeros_have_finite_gradients_in_compiled_steps(name, dark):
    teacher, student = (array.astype(np.float32) for array in NAIVE[name][1])
    student[dark] = 0.0
    variable = tf.Variable(student)

    @tf.function(jit_compile=True)
    def gradient():
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(distillation_losses.get(name)(tf.constant(teacher), variable))
        return tape.gradient(value, variable)

    assert np.isfinite(np.asarray(gradient())).all()


def test_the_target_is_left_out_of_the_others_however_large_logits_are():
    teacher, student = np.array([[2e4, 1.0, 0.0]]), np.array([[3e4, 0.0, 1.0]])
    found = DkdLoss(temperature=1.0)(*(tf.constant(one, tf.float32) for one in (teacher, student)))
    expected = 8.0 * kl(softmax(teacher[0, 1:]), softmax(student[0, 1:]))
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_distances_do_not_depend_on_where_features_are():
    teacher, student = (array.astype(np.float32) for array in MAPS)
    loss = RelationalLoss(angle=0)
    near, far = (
        tf.reduce_mean(loss(tf.constant(teacher + place), tf.constant(student + place)))
        for place in (np.float32(0), np.float32(1000))
    )
    assert float(far) == pytest.approx(float(near), rel=1e-3)


def test_contrasted_features_differ_in_width_and_resolution():
    loss = distillation_losses.get("contrastive")
    projector = loss.projector((None, 4, 4, 6), (None, 2, 2, 3))
    student = projector(tf.constant(RNG.normal(size=(5, 2, 2, 3)), tf.float32))
    assert loss(tf.constant(RNG.normal(size=(5, 4, 4, 6)), tf.float32), student).shape == (5,)


def test_maps_of_logits_have_a_loss_for_each_position():
    teacher, student = (tf.constant(array, tf.float32) for array in MAPS)
    for loss in (KdLoss(), DkdLoss()):
        assert loss(teacher, student).shape == (5, 3, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KdLoss(temperature=0), "temperature must be a positive number. Received: 0"),
        (lambda: KdLoss(temperature=1000.0), "at most 100.*'mse'"),
        (lambda: DkdLoss(temperature=101), "at most 100"),
        (lambda: DkdLoss(beta=-1), "beta must be a positive number"),
        (lambda: RelationalLoss(distance=0, angle=0), "one of them more"),
        (lambda: ContrastiveLoss(temperature=-1), "temperature must be a positive number"),
        (lambda: HintLoss().projector((None, 4, 4, 8), (None, 8, 8, 8)), "differ in the last axis only"),
        (lambda: AttentionTransferLoss().projector((None, 8), (None, 8)), "the same positions"),
    ],
)
def test_bad_fields_and_shapes_are_one_line(make, message):
    with pytest.raises(OptionError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
