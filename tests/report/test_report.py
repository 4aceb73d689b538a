"""Warnings of a report."""

from thalweg.config import DataConfig
from thalweg.data import load
from thalweg.evaluation.estimates.estimate import Estimate
from thalweg.evaluation.estimates.findings import Findings, Missing
from thalweg.report.document import document


def warnings_of(result):
    dataset = load(DataConfig(source="moons", examples=60))
    models = [{"name": name, "seeds": []} for name in result if name != "real"]
    return document(title="", command="", dataset=dataset, budget={}, models=models, findings_of=result)["warnings"]


def test_reasons_of_measures_that_no_model_has_are_warnings():
    slow = Missing("AIS", "37 TFLOP, many for a CPU", "annealing")
    result = {"dcgan": Findings(missing=[slow]), "wae-mmd": Findings(missing=[slow]), "real": Findings(missing=[slow])}
    assert warnings_of(result) == ["dcgan, wae-mmd: AIS: 37 TFLOP, many for a CPU"]
    about = {"unit": "nats", "kind": "lower bound", "better": "higher", "varies": "test examples", "n": 32}
    bound = Estimate(name="AIS", value=-80.0, low=-81.0, high=-79.0, **about)
    assert warnings_of(result | {"vae": Findings([bound])}) == []  # the cells of the row say it
