"""Plans of comparisons: candidates, budgets, and their trainings."""

import json

import pytest

from thalweg.comparison import Candidate, Measuring, Plan
from thalweg.comparison.side_by_side import begin, check
from thalweg.config import DataConfig, TrainConfig, from_json, to_json

DIGITS = DataConfig(source="digits")


def plan(*names, **fields):
    return Plan(models=tuple(Candidate.read(n) for n in names or ("vae", "wgan")), data=DIGITS, **fields)


def test_a_candidate_may_have_options_and_training_settings():
    read = Candidate.read("vae:latent-dim=2,learn_sigma=false,lr=1e-3,batch_size=64")
    assert (read.recipe, read.options, read.train) == (
        "vae",
        {"latent_dim": 2, "learn_sigma": False},
        {"lr": 0.001, "batch_size": 64},
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vea", "did you mean 'vae'"),
        ("vae:latent_dims=2", "did you mean 'latent_dim'"),
        ("vae:latent_dim=two", "latent_dim: got 'two', wanted an integer"),
        ("vae:latent_dim", "got 'latent_dim', wanted option=value"),
        ("vae:seed=3", "wanted --seeds"),
    ],
)
def test_invalid_candidates_are_refused(text, words):
    with pytest.raises(ValueError, match=words):
        Candidate.read(text)


def test_every_training_has_its_seed_its_folder_and_the_budget():
    runs = plan("vae", "vae:latent_dim=2,batch_size=32", seeds=2, train=TrainConfig(minutes=0.5)).runs()
    assert [name for name, _ in runs] == [
        "vae-0", "vae-1", "vae_latent_dim=2_batch_size=32-0", "vae_latent_dim=2_batch_size=32-1",
    ]  # fmt: skip
    assert [config.train.seed for _, config in runs] == [0, 1, 0, 1]
    assert {config.train.minutes for _, config in runs} == {0.5}
    assert [config.train.batch_size for _, config in runs] == [None, None, 32, 32]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: plan("vae", "vae"), "got 'vae' twice"),
        (lambda: Plan(models=(), data=DIGITS), "wanted one or more recipes"),
        (lambda: plan(seeds=0), "seeds: got 0"),
        (lambda: plan(train=TrainConfig(minutes=1, steps=2)), "minutes: got 1 beside steps, wanted one of them"),
        (
            lambda: plan("vae:steps=3", train=TrainConfig(minutes=1.0)),
            "steps: got it in 'vae:steps=3' beside",
        ),
        (lambda: plan("vae:steps=3", train=TrainConfig(steps=10)), "steps: got it in 'vae:steps=3' beside --steps"),
        (lambda: plan(shares=(0.0, 1.0)), "learning_curve: got 0,1, wanted two or more increasing shares above 0"),
        (lambda: plan(shares=(0.1, 1.5)), "learning_curve: got 0.1,1.5, wanted .* the last of them 1"),
        (lambda: plan(shares=(0.3, 0.1, 1.0)), "learning_curve: got 0.3,0.1,1"),
        (lambda: plan(shares=(0.1, 0.1, 1.0)), "learning_curve: got 0.1,0.1,1"),
        (lambda: plan(shares=(0.1, float("nan"), 1.0)), "learning_curve: got 0.1,nan,1"),
        (lambda: plan(shares=(0.1, 0.3)), "learning_curve: got 0.1,0.3, wanted .* the last of them 1"),
        (lambda: plan(shares=(1.0,)), "learning_curve: got 1, wanted two or more"),
        (lambda: plan("vae:share=0.5", shares=(0.1, 1.0)), "share: got it in 'vae:share=0.5' beside the shares"),
        (lambda: Measuring(temperatures=-1), "temperatures: got -1"),
        (lambda: Measuring(split="tset"), "did you mean 'test'"),
    ],
)
def test_invalid_plans_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_learning_curve_adds_the_trainings_of_smaller_shares():
    runs = plan("vae", "wgan", seeds=2, shares=(0.1, 1.0), train=TrainConfig(steps=7)).runs()
    assert runs[:4] == plan("vae", "wgan", seeds=2, train=TrainConfig(steps=7)).runs()
    assert [name for name, _ in runs[4:]] == ["vae-share=0.1-0", "vae-share=0.1-1", "wgan-share=0.1-0",
                                              "wgan-share=0.1-1"]  # fmt: skip
    assert [(config.train.share, config.train.seed, config.train.steps) for _, config in runs[4:]] == [
        (0.1, 0, 7), (0.1, 1, 7), (0.1, 0, 7), (0.1, 1, 7)]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "train", "fixed"),
    [
        (["vae"], {}, "steps"),
        (["vae"], {"steps": 3}, "steps"),
        (["vae"], {"minutes": 3.0}, "minutes"),
        (["vae"], {"examples": 3}, "examples"),
        (["vae:steps=3", "wgan:minutes=1"], {}, "minutes or steps"),
    ],
)
def test_a_learning_curve_holds_the_budget_fixed(names, train, fixed):
    assert plan(*names, shares=(0.5, 1.0), train=TrainConfig(**train)).fixed == fixed


def test_a_plan_is_equal_after_json():
    result = plan("vae:latent_dim=2", "wgan", seeds=3, train=TrainConfig(minutes=1.0), shares=(0.1, 1.0))
    assert from_json(Plan, to_json(result)) == result


def test_a_folder_is_resumed_with_the_same_plan_only(tmp_path):
    folder = tmp_path / "compared"
    for _ in range(2):
        check(plan(), folder, overwrite=False)
        begin(plan(), folder, "abc", overwrite=False).close()
    with pytest.raises(ValueError, match="contains a comparison that differs in seeds, train"):
        check(plan(seeds=2, train=TrainConfig(steps=3)), folder, overwrite=False)
    (folder / "runs").mkdir()
    check(plan(seeds=2), folder, overwrite=True)
    with (
        begin(plan(seeds=2), folder, "abc", overwrite=True),
        pytest.raises(RuntimeError, match="in use by another process"),
    ):
        begin(plan(seeds=2), folder, "abc", overwrite=True)
    assert not (folder / "runs").exists()
    check(plan(seeds=2), folder, overwrite=False)
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(ValueError, match="contains other files"):
        check(plan(), tmp_path, overwrite=True)
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_a_comparison_without_the_newest_settings_is_resumed(tmp_path):
    begin(plan(), tmp_path, "abc", overwrite=False).close()
    path = tmp_path / "compare.json"
    old = json.loads(path.read_text())
    del old["plan"]["shares"], old["plan"]["train"]["share"]
    path.write_text(json.dumps(old))
    check(plan(), tmp_path, overwrite=False)
    with pytest.raises(ValueError, match="contains a comparison that differs in shares"):
        check(plan(shares=(0.1, 1.0)), tmp_path, overwrite=False)


def test_a_comparison_of_many_models_has_a_folder_that_can_be_made(tmp_path):
    names = [f"vae:latent_dim={i},hidden={10 * i}" for i in range(1, 40)]
    many = Plan(models=tuple(Candidate.read(name) for name in names), data=DataConfig(source="digits"))
    folder = tmp_path / many.default_folder()
    folder.mkdir(parents=True)
    assert many.default_folder() == many.default_folder()
    fewer = Plan(models=many.models[:-1], data=many.data)
    assert fewer.default_folder() != many.default_folder()


def test_overwriting_a_comparison_removes_no_other_files(tmp_path):
    begin(plan(), tmp_path, "abc", overwrite=False).close()
    check(plan(seeds=2), tmp_path, overwrite=True)
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(ValueError, match=r"contains 'notes\.txt' beside a comparison"):
        check(plan(seeds=2), tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "notes"
