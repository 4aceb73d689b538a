"""What a model's samples are worth beside held-out data: every measure of samples, and what each means."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from thalweg.abilities import Samples
from thalweg.evaluation.draws import FEWEST, MOST, Draws, drawn, draws_of
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

__all__ = ["FEWEST", "MEANINGS", "MEASURES", "MOST", "asked", "drawn", "sample_measures"]

PICTURED = 64

MEANINGS: dict[str, str] = {
    "Fréchet distance": "Squared distance between the Gaussians that have the mean and covariance of the samples and "
    "of the held-out examples: 0 where these agree, however different the rest; finite samples bias it upwards, so "
    "compare it only at equal sample counts and features.",
    "Fréchet distance (n→∞)": "The Fréchet distance with the bias of finite samples taken out, by a straight line "
    "through two sample counts: near 0 for a good model, and then as often below as above.",
    "MMD²": "Squared distance of the means of a Gaussian kernel as wide as two examples are apart: 0 for one law, "
    "estimated without bias, so a good model is as often below 0 as above; its p-value is a test of one law.",
    "KID": "MMD² of the kernel (x·y/d + 1)³, which compares the first three moments of the features: 0 is best, "
    "estimated without bias, so a good model is as often below 0 as above.",
    "W1": "The mean distance by which samples must be moved to become the held-out examples, moved as cheaply as can "
    "be: lower is better, but even a perfect model is far from 0 in many dimensions, since samples are finite.",
    "sliced W1": "The same mean distance along a random direction, averaged over directions: 0 is best; finite "
    "samples bias it upwards, and what is wrong in few directions of many hardly shows.",
    "precision": "Share of samples within the reach of a held-out example's five nearest neighbors: high where every "
    "sample looks like data, and a single outlier among the data can raise it.",
    "recall": "Share of held-out examples within the reach of a sample's five nearest neighbors: low where parts of "
    "the data are left out; samples that are spread too widely raise it.",
    "density": "How many held-out examples reach a sample, over five: about 1 for the data themselves, and above 1 "
    "where samples crowd where data are dense, as when variety is lost.",
    "coverage": "Share of held-out examples whose reach holds a sample: about 97 % for the data themselves, low "
    "where parts of the data are left out.",
    "C2ST accuracy": "How often a classifier tells samples from held-out examples it has not seen: 50 % is guessing "
    "and best, 100 % is telling every one; one consistent trace, as the noise of a decoder, is enough for 100 %.",
    "modes found": "How many modes of the true mixture are nearest to a sample within three of their standard "
    "deviations: all is best; one sample finds a mode, so its weight may still be wrong.",
    "good samples": "Share of samples within three standard deviations of a mode of the true mixture: 98.9 % for the "
    "truth itself in two dimensions, less in more; a model of a single mode may reach it, too.",
    "data copying": "How much nearer the samples are to the training examples than held-out ones are, in standard "
    "deviations of chance: 0 is no nearer, below −3 are copies; bad samples far from all data also give 0.",
    "copied samples": "Share of samples as near to a training example as the nearest 1 % of held-out examples are: 1 "
    "% by chance, more where the model copies; lower is better, but 0 % may mean samples far from all data.",
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
    """Return the distances of samples of the model to test examples, precision to coverage, modes, copies.

    Modes are asked for where the true density has `means` and `stds`, copies where there are training examples. The
    picture "samples" is the first 64, "nearest" the 8 nearest to a training example, each beside it.

    Nothing for tokens.
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
        if not part.estimates:  # what one of them lacks, all lack
            reason = (part.missing or findings.missing)[0].reason
            part.missing = [Missing(name, reason) for name in names]
        findings.add(part)
    findings.missing = [m for m in findings.missing if m.name != "samples"]
    return findings


def asked(reference: Reference) -> list[tuple[tuple[str, ...], Measures]]:
    """Return the measures that the reference has what it takes for, with the names of what each gives."""
    without = {"modes found": not isinstance(reference.density, HasModes), "data copying": reference.training is None}
    return [(names, measure) for names, measure in MEASURES if not without.get(names[0])]
