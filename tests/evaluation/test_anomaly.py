"""Anomaly scores: areas against direct definitions, scikit-learn, the bootstrap and simulation; what scores by what."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn import metrics
from torch import nn

from thalweg.data import Spec
from thalweg.evaluation.estimates.estimate import difference
from thalweg.evaluation.estimates.figures import to_json
from thalweg.evaluation.examples import Examples
from thalweg.evaluation.measures.anomaly import MEANINGS, anomaly_measures, score_of, scores, simple_anomalies
from thalweg.evaluation.reference import Reference, raw_features
from thalweg.evaluation.statistics.ranks import aupr, auroc, roc

PLANE = Spec(name="plane", kind="vector", shape=(2,), mean=(0.0, 0.0), std=(1.0, 10.0))
SCANS = Spec(name="scans", kind="image", shape=(3, 4, 5), levels=17, mean=(4.0,) * 3, std=(6.0,) * 3)


def pair(n=60, apart=1.0, seed=0, levels=None):
    """Scores of n normal and n anomalous examples; with levels they tie."""
    random = np.random.default_rng(seed)
    a, b = random.normal(size=n), random.normal(size=n) + apart
    return (a, b) if levels is None else (np.round(a * levels), np.round(b * levels))


# areas


def components(a, b):
    """DeLong's structural components by all n² pairs: one for each normal and each anomalous example."""
    wins = (b[:, None] > a) + 0.5 * (b[:, None] == a)
    return wins.mean(axis=0), wins.mean(axis=1)


@pytest.mark.parametrize("levels", [None, 2])
def test_auroc_is_its_definition(levels):
    a, b = pair(levels=levels)
    findings, (normal, anomalous) = auroc("x", a, b), components(a, b)
    area, n = anomalous.mean(), len(a)
    assert findings.value == pytest.approx(100 * area)
    truth = np.repeat([0, 1], n)
    assert findings.value == pytest.approx(100 * metrics.roc_auc_score(truth, np.concatenate([a, b])))
    deviation = math.sqrt((normal.var(ddof=1) + anomalous.var(ddof=1)) / n)
    reach = stats.t.ppf(0.975, 2 * n - 1) * deviation / (area * (1 - area))
    odds = math.log(area / (1 - area))
    wanted = [100 / (1 + math.exp(-end)) for end in (odds - reach, odds + reach)]
    assert (findings.low, findings.high) == pytest.approx(wanted, rel=1e-9)
    assert findings.parts.mean() == pytest.approx(findings.value)
    assert findings.parts.std(ddof=1) / math.sqrt(2 * n) == pytest.approx(100 * deviation, rel=1e-9)


@pytest.mark.parametrize("measure", [auroc, aupr])
def test_intervals_are_the_bootstraps(measure):
    a, b = pair(n=400, apart=1.5)
    random = np.random.default_rng(1)
    again = []
    for _ in range(1000):
        x, y = random.choice(a, len(a)), random.choice(b, len(b))
        truth, values = np.repeat([0, 1], len(a)), np.concatenate([x, y])
        area = metrics.roc_auc_score if measure is auroc else metrics.average_precision_score
        again.append(100 * area(truth, values))
    findings = measure("x", a, b)
    # the jackknife has ten blocks, and Student's distribution of nine degrees a longer tail
    wanted = np.quantile(again, [0.025, 0.975])
    assert findings.high - findings.low == pytest.approx(wanted[1] - wanted[0], rel=0.1 if measure is auroc else 0.5)
    assert findings.low < wanted.mean() < findings.high


@pytest.mark.parametrize("area", [0.5, 0.9, 0.99])
def test_coverage(area):
    apart = math.sqrt(2) * stats.norm.ppf(area)
    covered = [f.low <= 100 * area <= f.high for f in (auroc("x", *pair(100, apart, seed)) for seed in range(400))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.045)


def test_aupr_is_scikit_learns_and_covers():
    a, b = pair(levels=1)
    wanted = metrics.average_precision_score(np.repeat([0, 1], len(a)), np.concatenate([a, b]))
    findings = aupr("x", a, b)
    assert findings.value == pytest.approx(100 * wanted)
    assert findings.parts.mean() == pytest.approx(findings.value, rel=0.02)  # less its bias
    x, y = pair(200_000, 1.5, seed=9)
    true = 100 * metrics.average_precision_score(np.repeat([0, 1], len(x)), np.concatenate([x, y]))
    covered = [f.low <= true <= f.high for f in (aupr("x", *pair(100, 1.5, seed)) for seed in range(300))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)


def test_two_scores_pair_by_delongs_covariance():
    random = np.random.default_rng(3)
    a, b = pair(n=300)
    noise = 0.3 * random.normal(size=(2, 300))
    one, two = auroc("x", a, b), auroc("x", a + noise[0], b + noise[1])
    apart = difference(one, two)
    (n1, s1), (n2, s2) = components(a, b), components(a + noise[0], b + noise[1])
    deviation = 100 * math.sqrt(((n1 - n2).var(ddof=1) + (s1 - s2).var(ddof=1)) / 300)
    assert apart.value == pytest.approx(one.value - two.value)
    assert apart.high - apart.value == pytest.approx(stats.t.ppf(0.975, 599) * deviation, rel=1e-9)
    assert apart.high - apart.low < 0.5 * (one.high - one.low)


def test_no_pair_out_of_order():
    findings = auroc("x", np.zeros(50), np.ones(50))
    assert (findings.value, findings.high) == (100.0, 100.0)
    assert findings.low == pytest.approx(92.87, abs=0.01)  # Wilson's of 50 of 50
    assert auroc("x", np.ones(50), np.zeros(50)).value == 0.0
    for measure in (auroc, aupr):
        level = measure("x", np.zeros(50), np.zeros(50))
        assert level.value == pytest.approx(50.0)
        assert 36 < level.low < 37
    wrong = aupr("x", np.arange(500.0) + 500, np.arange(500.0))  # the least there is: every anomaly below
    assert wrong.value == pytest.approx(30.8, abs=0.1)
    assert 25 < wrong.low < wrong.value - 2 < wrong.value + 2 < wrong.high < 36
    assert wrong.method["interval"] == "Wilson, of parts that do not vary"


def test_infinite_scores_have_ranks():
    a, b = pair()
    for measure in (auroc, aupr):
        plain = measure("x", np.append(a, -90.0), np.append(b, 90.0))
        assert measure("x", np.append(a, -np.inf), np.append(b, np.inf)) == plain


def test_curve():
    a, b = pair(n=500)
    x, y = roc(a, b)
    assert len(x) == len(y) <= 100
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert integrate.trapezoid(y, x) == pytest.approx(auroc("x", a, b).value / 100, abs=0.01)
    assert all(np.diff(x) >= 0)
    assert all(np.diff(y) >= 0)


@pytest.mark.parametrize("measure", [auroc, aupr])
def test_areas_want_as_many_of_each(measure):
    with pytest.raises(ValueError, match="scores: got 30 normal and 31 anomalous, wanted as many of each"):
        measure("x", np.zeros(30), np.zeros(31))
    with pytest.raises(ValueError, match="at least"):
        measure("x", np.zeros(1), np.zeros(1))


# scores


class Able(nn.Module):
    """Abilities by name."""

    def __init__(self, **abilities):
        super().__init__()
        self.__dict__.update(abilities)


HALF = {"encode": lambda x: x[:, :1], "decode": lambda z: torch.cat([z, 0 * z], dim=1)}
DENSITY = {"log_prob": lambda x: -x[:, 0]}
BOUND = {"elbo": lambda x: -x[:, 0] - 1}
LOGITS = {"logits": lambda x: x}
OWN = {"score": lambda x: x[:, 0] + 2}
X = torch.tensor([[3.0, 5.0], [0.0, 20.0]])


@pytest.mark.parametrize(
    ("abilities", "name", "values"),
    [
        (OWN | DENSITY | BOUND | HALF | LOGITS, "the model's own score", [5.0, 2.0]),
        (DENSITY | BOUND | HALF | LOGITS, "−log_prob", [3.0, 0.0]),
        (BOUND | HALF | LOGITS, "−elbo", [4.0, 1.0]),
        (HALF | LOGITS, "squared reconstruction error", [0.25, 4.0]),  # the second column in deviations of 10
        (LOGITS, "−largest softmax probability", [-1 / (1 + math.exp(-2)), -1.0]),
    ],
)
def test_what_a_model_is_scored_by(abilities, name, values):
    score = score_of(Able(**abilities), PLANE)
    assert score.name == name
    assert score.of(X).tolist() == pytest.approx(values, abs=1e-6)


def test_images_are_rebuilt_in_raw_units():
    model = Able(encode=lambda x: x.float(), decode=lambda z: z + 2)
    x = torch.zeros(2, *SCANS.shape, dtype=torch.uint8)
    assert score_of(model, SCANS).of(x).tolist() == [240.0, 240.0]  # 60 values, each off by 2


def test_a_gan_without_a_score():
    with pytest.raises(ValueError, match="score: Able has no anomaly score, wanted score, or log_prob"):
        score_of(Able(decode=lambda z: z, sample=None), PLANE)


def test_nan_scores_are_an_error():
    x = np.zeros((30, 2), dtype=np.float32)
    x[4] = np.nan
    with pytest.raises(FloatingPointError, match="score: NaN for 1 of 30 examples, by −log_prob"):
        scores(score_of(Able(**DENSITY), PLANE), Examples(x))


# measures


def reference(x, seed=0, spec=PLANE, **anomalies):
    others = {name: Examples(other, seed=seed) for name, other in anomalies.items()}
    test = Examples(x, protocol={"split": "test"}, seed=seed)
    return Reference(spec=spec, test=test, features=raw_features(spec), anomalies=others)


def cloud(n, apart=0.0, seed=0):
    return np.random.default_rng(seed).normal(apart, 1.0, (n, 2)).astype(np.float32)


GAUSSIAN = {"log_prob": lambda x: -0.5 * x.double().square().sum(dim=1)}


def test_measures_against_other_data():
    against = reference(cloud(200), shifted=cloud(80, 2.0, seed=1), same=cloud(500, seed=2))
    findings = anomaly_measures(Able(**GAUSSIAN), against)
    assert [e.name for e in findings.estimates] == [
        "anomaly AUROC: shifted", "anomaly AUPR: shifted", "anomaly AUROC: same", "anomaly AUPR: same",
    ]  # fmt: skip
    assert {e.name.split(":")[0] for e in findings.estimates} == set(MEANINGS)
    shifted, same = findings["anomaly AUROC: shifted"], findings["anomaly AUROC: same"]
    assert (shifted.n, same.n) == (160, 400)  # as many of each, the fewer of the two
    assert same.low < 50 < same.high
    # |x|² of N(0, I) is χ²₂, of N(2, I) noncentral with λ = 8
    grid = np.linspace(0.001, 80, 40_000)
    true = integrate.trapezoid(stats.chi2.cdf(grid, 2) * stats.ncx2.pdf(grid, 2, 8.0), grid)
    assert shifted.low < 100 * true < shifted.high
    assert shifted.method == {"score": "−log_prob", "interval": "DeLong, on the logit"}
    assert shifted.protocol["anomalies"] == "shifted"
    curves = {curve.panel: curve for curve in findings.figures}
    for name, estimate in (("shifted", shifted), ("same", same)):
        assert np.trapezoid(curves[name].y, curves[name].x) == pytest.approx(estimate.value / 100, abs=2e-3)
        assert (curves[name].x_axis.label, curves[name].y_axis.label) == ("false positive rate", "true positive rate")
        assert curves[name].diagonal
    assert curves["same"].legend == f"{same.value:.1f} %"
    json.dumps([to_json(curve) for curve in findings.figures], allow_nan=False)


def test_measures_are_a_function_of_the_seed():
    def findings(seed):
        against = reference(cloud(200), seed, other=cloud(80, 1.0, seed=1))
        return anomaly_measures(Able(elbo=lambda x: -x[:, 0] - torch.randn(len(x))), against).estimates

    assert findings(0) == findings(0)
    assert findings(0)[0].value != findings(1)[0].value


def test_an_error_of_one_data_set_leaves_the_other_measures():
    broken = cloud(30)
    broken[3] = np.nan
    against = reference(cloud(200), few=cloud(5), cubes=np.zeros((30, 3)), broken=broken, good=cloud(30, 1.0))
    findings = anomaly_measures(Able(**GAUSSIAN), against)
    assert [e.name for e in findings.estimates] == ["anomaly AUROC: good", "anomaly AUPR: good"]
    assert {m.name: m.reason for m in findings.missing} == {
        "anomaly AUROC: few": "anomalies: got 200 test examples and 5 of 'few', wanted at least 20",
        "anomaly AUROC: cubes": "anomalies: got 'cubes' of shape (3,), wanted (2,)",
        "anomaly AUROC: broken": "score: NaN for 1 of 30 examples, by −log_prob",
    }
    assert [curve.panel for curve in findings.figures] == ["good"]


def test_nothing_without_anomalies():
    findings = anomaly_measures(Able(**GAUSSIAN), reference(cloud(30)))
    assert (findings.estimates, findings.figures) == ([], [])


def test_a_density_prefers_simpler_images():
    # of independent pixels around the middle, the flat gray image is more likely than any real one: shown, not hidden
    random = np.random.default_rng(0)
    x = np.clip(random.normal(8, 3, (100, *SCANS.shape)), 0, 16).astype(np.uint8)
    flat = np.full_like(x, 8)
    model = Able(log_prob=lambda x: -(x.double() - 8).square().flatten(1).sum(dim=1))
    findings = anomaly_measures(model, reference(x, spec=SCANS, flat=flat))["anomaly AUROC: flat"]
    assert findings.value == 0.0
    assert findings.high < 5


# anomalies made from the data


def test_simple_anomalies_of_images():
    x = np.random.default_rng(0).integers(0, 3, (200, *SCANS.shape)).astype(np.uint8)
    findings = simple_anomalies(SCANS, x, seed=0)
    assert list(findings) == ["noise", "flat", "shuffled"]
    assert all(y.shape == x.shape and y.dtype == x.dtype for y in findings.values())
    counts = np.bincount(findings["noise"].ravel(), minlength=17)
    assert len(counts) == 17
    assert stats.chisquare(counts).pvalue > 1e-3
    flat = findings["flat"].reshape(200, -1)
    assert (flat == flat[:, :1]).all()
    assert set(flat[:, 0]) == set(range(17))
    pixels, kept = findings["shuffled"].reshape(200, 3, 20), x.reshape(200, 3, 20)
    moved = 0
    for a, b in zip(pixels, kept, strict=True):  # whole pixels move, colors and all
        assert sorted(map(tuple, a.T)) == sorted(map(tuple, b.T))
        moved += (a != b).any()
    assert moved == 200


def test_simple_anomalies_of_vectors():
    x = np.random.default_rng(0).normal(size=(500, 1)).repeat(2, axis=1) * [1.0, 5.0] + [0.0, 3.0]
    x = x.astype(np.float32)
    findings = simple_anomalies(PLANE, x, seed=0)
    assert list(findings) == ["box", "shuffled"]
    assert all(y.shape == x.shape and y.dtype == x.dtype for y in findings.values())
    assert (np.sort(findings["shuffled"], axis=0) == np.sort(x, axis=0)).all()
    assert abs(np.corrcoef(findings["shuffled"].T)[0, 1]) < 0.15  # it was 1
    assert (findings["box"] >= x.min(axis=0)).all()
    assert (findings["box"] <= x.max(axis=0)).all()
    width = findings["box"].std(axis=0) / (x.max(axis=0) - x.min(axis=0))
    assert width == pytest.approx(1 / math.sqrt(12), rel=0.1)
    line = SimpleNamespace(kind="vector")
    assert list(simple_anomalies(line, x[:, :1], seed=0)) == ["box"]


def test_simple_anomalies_are_a_function_of_the_seed():
    x = np.random.default_rng(0).integers(0, 17, (20, *SCANS.shape)).astype(np.uint8)
    a, b, c = (simple_anomalies(SCANS, x, seed) for seed in (0, 0, 1))
    assert all((a[name] == b[name]).all() for name in a)
    assert all((a[name] != c[name]).any() for name in a)
    assert simple_anomalies(SimpleNamespace(kind="tokens"), x, seed=0) == {}
