"""Settings are converted to JSON and back; invalid fields are refused by name."""

import json

import pytest

from thalweg.config import (
    DataConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    TrainConfig,
    coerce,
    from_json,
    to_json,
)

RUN = RunConfig(
    recipe="vae",
    data=DataConfig(source="digits", examples=100),
    options={"latent_dim": 2, "likelihood": "bernoulli"},
    train=TrainConfig(steps=10, lr=0.1, optimizer="sgd"),
)


@pytest.mark.parametrize("value", [RUN, ScheduleConfig(name="cosine", warmup=3), OptimizerConfig(lr=1), TrainConfig()])
def test_round_trip(value):
    assert from_json(type(value), json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(recipie="vae"), "RunConfig: unknown field 'recipie' (did you mean 'recipe'?)"),
        (lambda d: d.pop("recipe"), "RunConfig: field 'recipe' is missing"),
        (lambda d: d.update(recipe=3), "recipe: got 3, wanted str"),
        (lambda d: d["train"].update(steps="ten"), "train.steps: got 'ten', wanted an integer"),
        (lambda d: d["train"].update(steps=2.5), "train.steps: got 2.5, wanted an integer"),
        (lambda d: d["train"].update(steps=True), "train.steps: got True, wanted an integer"),
        (lambda d: d["train"].update(steps=-1), "steps: got -1, wanted a number greater than 0"),
        (lambda d: d["train"].update(compile="yes"), "train.compile: got 'yes', wanted bool"),
        (lambda d: d["train"].update(precision="fp16"), "train.precision: got 'fp16', wanted one of float32, bf16"),
        (lambda d: d["train"].update(ema=1.5), "ema: got 1.5, wanted a decay in [0, 1)"),
        (lambda d: d["train"].update(swa=0.0), "swa: got 0.0, wanted a share in (0, 1]"),
        (lambda d: d["train"].update(swa=0.5, ema=0.9), "swa: got 0.5 beside ema, wanted one of them"),
        (lambda d: d["data"].update(validation=2), "validation: got 2.0, wanted a number from 0.0 to 0.9"),
        (lambda d: d.update(data=[1]), "data.: got [1], wanted an object"),
        (lambda d: d.update(options=[1]), "options: got [1], wanted dict"),
    ],
)
def test_refusals_name_the_field(change, said):
    value = to_json(RUN)
    change(value)
    with pytest.raises(ValueError) as refused:
        from_json(RunConfig, value)
    assert said.rstrip(".") in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "adma"}, "did you mean 'adam'"),
        ({"lr": 0.0}, "lr: got 0.0, wanted a number greater than 0"),
        ({"momentum": 1.0}, r"momentum: got 1.0, wanted a number in \[0, 1\)"),
        ({"eps_inside": True, "name": "sgd"}, "eps_inside: got optimizer 'sgd', wanted rmsprop or adam"),
        ({"weight_decay": -0.1}, "weight_decay: got -0.1"),
    ],
)
def test_optimizer_ranges(config, said):
    with pytest.raises(ValueError, match=said):
        OptimizerConfig(**config)


def test_coerce_knows_tuples_and_options():
    assert coerce("shape", [1, 28, 28], tuple[int, ...]) == (1, 28, 28)
    assert coerce("n", None, int | None) is None
    with pytest.raises(ValueError, match="shape"):
        coerce("shape", [1, "x"], tuple[int, ...])
    with pytest.raises(ValueError, match="pair"):
        coerce("pair", [1, 2, 3], tuple[int, int])
