"""Clusters: blobs are found, and agreement with labels is what formulas and brute force say."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from thalweg.evaluation.statistics.clustering import agreement, k_means, matched


def blobs(n=50):
    random = np.random.default_rng(0)
    centers = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    y = np.repeat(np.arange(4), n)
    return centers[y] + random.normal(size=(4 * n, 2)), y, centers


@pytest.mark.system("S72")
def test_separated_blobs_are_recovered():
    z, y, centers = blobs()
    findings = k_means(z, 4, seed=3)
    nmi, ari, accuracy = agreement(findings.of, y)
    assert nmi.value == ari.value == 1
    assert accuracy.value == 100
    label = matched(findings.of, y)
    order = [label[i] for i in range(4)]
    assert findings.centers == pytest.approx(centers[order], abs=0.6)
    assert findings.inertia == pytest.approx(sum(((z[y == k] - z[y == k].mean(0)) ** 2).sum() for k in range(4)))


@pytest.mark.system("S72")
def test_the_seed_decides():
    z = np.random.default_rng(1).normal(size=(200, 5))
    assert (k_means(z, 7, seed=1).of == k_means(z, 7, seed=1).of).all()
    assert (k_means(z, 7, seed=1).of != k_means(z, 7, seed=2).of).any()


def noisy(classes=4, clusters=4, n=300, seed=0):
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, n)
    c = np.where(random.random(n) < 0.6, (y * 3 + 1) % clusters, random.integers(0, clusters, n))
    return c, y


@pytest.mark.system("S72")
@pytest.mark.parametrize("clusters", [3, 4, 6])
def test_agreement_is_by_its_formulas(clusters):
    c, y = noisy(clusters=clusters)
    nmi, ari, _ = agreement(c, y)
    joint = np.array([[np.mean((c == i) & (y == j)) for j in range(4)] for i in range(clusters)])
    rows, columns = joint.sum(1), joint.sum(0)
    entropy = -(rows * np.log(rows)).sum() - (columns * np.log(columns)).sum()
    information = sum(p * np.log(p / (rows[i] * columns[j])) for (i, j), p in np.ndenumerate(joint) if p)
    assert nmi.value == pytest.approx(2 * information / entropy)
    assert nmi.value == pytest.approx(normalized_mutual_info_score(y, c))
    pairs = [np.sum(x * (x - 1) / 2) for x in (300 * joint, 300 * rows, 300 * columns)]
    chance = pairs[1] * pairs[2] / (300 * 299 / 2)
    assert ari.value == pytest.approx((pairs[0] - chance) / ((pairs[1] + pairs[2]) / 2 - chance))
    assert ari.value == pytest.approx(adjusted_rand_score(y, c))


@pytest.mark.system("S72")
@pytest.mark.parametrize("clusters", [3, 4, 5])
def test_matched_accuracy_is_the_best_of_all_permutations(clusters):
    c, y = noisy(clusters=clusters, seed=2)
    labels = range(max(4, clusters))  # beyond the fourth, no label
    best = max(np.mean(np.array(order)[c] == y) for order in permutations(labels, clusters))
    assert agreement(c, y)[2].value == pytest.approx(100 * best)


@pytest.mark.system("S72")
def test_names_of_clusters_and_labels_do_not_matter():
    c, y = noisy()
    again = agreement(9 - c, np.array([50, 7, 3, 11])[y])
    assert [e.value for e in again] == pytest.approx([e.value for e in agreement(c, y)])


@pytest.mark.system("S72")
def test_intervals_cover_the_values_of_many_examples():
    c, y = noisy(n=100_000)
    truth = agreement(c, y)
    covered = [[], [], []]
    for i in range(60):
        for hit, estimate, true in zip(
            covered, agreement(c[i * 500 :][:500], y[i * 500 :][:500], seed=i), truth, strict=True
        ):
            hit.append(estimate.low <= true.value <= estimate.high)
            assert estimate.varies == "test examples"
            assert estimate.n == 500
    assert min(np.mean(hits) for hits in covered) > 0.83


@pytest.mark.system("S72")
def test_refusals():
    z = np.zeros((30, 2))
    with pytest.raises(ValueError, match="clusters: got 31, wanted a number from 1 to 30"):
        k_means(z, 31)
    with pytest.raises(ValueError, match="clusters: got 2, wanted at most 1, as many codes differ"):
        k_means(z, 2)
    with pytest.raises(ValueError, match="got 5 examples, wanted at least 20"):
        agreement(np.zeros(5), np.zeros(5))
    with pytest.raises(ValueError, match="labels: got shape"):
        agreement(np.zeros(25), np.zeros(24))
