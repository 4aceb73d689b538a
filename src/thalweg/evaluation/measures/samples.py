"""All measures of samples against held-out data, and their explanations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from thalweg.abilities import Samples
from thalweg.evaluation.draws import MAX_SAMPLES, MIN_EXAMPLES, Draws, drawn, draws_of
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.figures import drawable
from thalweg.evaluation.estimates.findings import Findings, Missing
from thalweg.evaluation.measures.copying import copying_measures
from thalweg.evaluation.measures.frechet import frechet_measures
from thalweg.evaluation.measures.modes import HasModes, mode_measures
from thalweg.evaluation.measures.neighbors import neighbor_measures
from thalweg.evaluation.measures.transport import sliced_measures, transport_measures
from thalweg.evaluation.measures.two_sample import classifier_measures, kid_measures, mmd_measures
from thalweg.evaluation.reference import Reference

__all__ = ["MAX_SAMPLES", "MEANINGS", "MEASURES", "MIN_EXAMPLES", "asked", "drawn", "sample_measures"]

PICTURED = 64

MEANINGS = {
    "Fréchet distance": "The squared Fréchet distance between two Gaussians, with the mean and covariance of the "
    "samples and of the held-out examples: 0 if these agree, however much the distributions differ otherwise. Finite "
    "samples bias it upwards: compare it only for equal numbers of samples and equal features.",
    "Fréchet distance (n→∞)": "The Fréchet distance extrapolated to infinitely many samples, by a straight line "
    "through two sample sizes: for a good model it is near 0 and as often below 0 as above.",
    "MMD²": "The squared maximum mean discrepancy with a Gaussian kernel whose bandwidth is the median distance "
    "between examples: 0 for equal distributions. The estimate is unbiased, so for a good model it is as often below "
    "0 as above. Its p-value tests whether the two distributions are equal.",
    "KID": "The squared maximum mean discrepancy with the kernel (x·y/d + 1)³, which compares the first three moments "
    "of the features: 0 is best. The estimate is unbiased, so for a good model it is as often below 0 as above.",
    "W1": "The Wasserstein-1 distance: the mean distance over which samples must be moved, by the cheapest plan, to "
    "become the held-out examples; lower is better. Even for a perfect model it is far above 0 in many dimensions, "
    "because the samples are finite.",
    "sliced W1": "The Wasserstein-1 distance along a random direction, averaged over directions: 0 is best. Finite "
    "samples bias it upwards, and errors in a few of many directions hardly change it.",
    "precision": "The share of samples that lie within the distance of a held-out example to its fifth nearest "
    "neighbor: high if every sample resembles the data. A single outlier among the data can raise it.",
    "recall": "The share of held-out examples that lie within the distance of a sample to its fifth nearest neighbor: "
    "low if parts of the data are missing. Samples that are spread too widely raise it.",
    "density": "The mean number of held-out examples whose neighborhood of five contains a sample, divided by five: "
    "about 1 for the data themselves, and above 1 if samples concentrate where the data are dense, as when variety is "
    "lost.",
    "coverage": "The share of held-out examples whose neighborhood of five contains a sample: about 97 % for the data "
    "themselves, low if parts of the data are missing.",
    "C2ST accuracy": "The accuracy of a classifier that distinguishes samples from held-out examples it has not seen: "
    "50 % is chance level and best, 100 % means that every sample is recognized. One consistent difference, such as "
    "the noise of a decoder, is enough for 100 %.",
    "modes found": "The number of modes of the true mixture that are the nearest mode of a sample within three "
    "standard deviations: all is best. One sample is enough to find a mode, so the mode's weight may still be wrong.",
    "good samples": "The share of samples within three standard deviations of a mode of the true mixture: 98.9 % for "
    "the true mixture itself in two dimensions, less in more dimensions. A model of a single mode can reach it, too.",
    "data copying": "How much nearer the samples are to the training examples than held-out examples are, as a "
    "z-score: 0 means no nearer, below −3 indicates copies. Bad samples far from all data also give 0.",
    "copied samples": "The share of samples that are as near to a training example as the nearest 1 % of held-out "
    "examples are: 1 % by chance, more if the model copies; lower is better, but 0 % can also mean that the samples "
    "are far from all data.",
}

Measures = Callable[[Draws], Findings | Iterable[Estimate]]

MEASURES: tuple[tuple[tuple[str, ...], Measures], ...] = (
    (("Fréchet distance", "Fréchet distance (n→∞)"), frechet_measures),
    (("KID",), kid_measures),
    (("MMD²",), mmd_measures),
    (("W1",), transport_measures),
    (("sliced W1",), sliced_measures),
    (("precision", "recall", "density", "coverage"), neighbor_measures),
    (("C2ST accuracy",), classifier_measures),
    (("modes found", "good samples"), mode_measures),
    (("data copying", "copied samples"), copying_measures),
)


def sample_measures(model: Samples, reference: Reference) -> Findings:
    """Return the measures of samples: distances to test examples, precision to coverage, modes, copies.

    Modes need a true density with `means` and `stds`, copies need training examples. The figure "samples" shows the
    first 64 samples, "nearest" the 8 that are nearest to a training example, beside it. There is no result for tokens.
    """
    findings = Findings()
    if reference.spec.kind == "tokens":
        return findings
    draws: list[Draws] = []

    def draw() -> Findings:
        draws.append(draws_of(model, reference))
        first = draws[0].fake.raw[:PICTURED].clone().numpy()
        return Findings(figures=drawable("samples", first, reference.spec))

    findings.attempt("samples", draw)
    for names, measure in asked(reference):
        part = Findings()
        if draws:
            part.attempt(names[0], partial(measure, draws[0]))
        if not part.estimates:  # the reason applies to all measures of the function
            reason = (part.missing or findings.missing)[0].reason
            part.missing = [Missing(name, reason) for name in names]
        findings.add(part)
    findings.missing = [m for m in findings.missing if m.name != "samples"]
    return findings


def asked(reference: Reference) -> list[tuple[tuple[str, ...], Measures]]:
    """Return the measures whose needs the reference satisfies, with the names of their results."""
    without = {"modes found": not isinstance(reference.density, HasModes), "data copying": reference.training is None}
    return [(names, measure) for names, measure in MEASURES if not without.get(names[0])]
