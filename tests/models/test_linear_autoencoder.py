"""The linear autoencoder has the error and the subspace of PCA, and no more in common with it."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from catalogue import DIGITS, PLANE, Member
from thalweg.models.autoencoders.linear_autoencoder import linear_autoencoder
from thalweg.problems.autoencoding import Autoencoding
from thalweg.training.problem import Batch


def trained(x, k, **settings):
    """The model after L-BFGS on all of the data, in float64, from its random initialization."""
    torch.manual_seed(0)
    model = linear_autoencoder(x.shape[1:], k, **settings).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-15,
                                  history_size=20, line_search_fn="strong_wolfe")  # fmt: skip

    def closure():
        optimizer.zero_grad()
        target = model.preprocess(x)
        loss = (model(target) - target).square().flatten(1).sum(1).mean()  # in float64, unlike the loss of the problem
        loss.backward()
        return loss

    optimizer.step(closure)
    values = Autoencoding(model).loss("model", Batch(x)).values
    assert values.mean().item() == pytest.approx(closure().item(), rel=1e-5)
    return model, closure().item()


def five_dimensions():
    """Points of covariance Q diag(4, 2, 1, ½, ¼) Qᵀ exactly, about a mean far from 0."""
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(5, 5)))[0]
    points = random.normal(size=(200, 5))
    white = np.linalg.qr(points - points.mean(0))[0] * np.sqrt(200)
    return white * np.sqrt([4, 2, 1, 0.5, 0.25]) @ rotation.T + [3.0, -1.0, 0.0, 5.0, 2.0], rotation


@pytest.mark.system("S69")
@pytest.mark.oracle("O31")
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_error_is_the_sum_of_discarded_eigenvalues_and_the_subspace_that_of_pca(tied, k):
    x, rotation = five_dimensions()
    assert np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1] == pytest.approx([4, 2, 1, 0.5, 0.25])
    model, error = trained(torch.tensor(x), k, tied=tied, mean=[0.0] * 5, std=[1.0] * 5)
    assert error == pytest.approx(sum([4, 2, 1, 0.5, 0.25][k:]), rel=1e-6)
    weight = model.encoder[1][0].weight.detach().numpy()
    spanned = np.stack([model.decode(z).detach().numpy()[0] for z in torch.eye(k, dtype=torch.float64)[:, None]])
    spanned -= model.decode(torch.zeros(1, k, dtype=torch.float64)).detach().numpy()
    for rows in (weight, spanned):  # W₂'s rows and W₁'s columns
        assert subspace_angles(rows.T, rotation[:, :k]) == pytest.approx(0, abs=1e-3)
    if tied:
        assert weight @ weight.T == pytest.approx(np.eye(k), abs=1e-5)
    if k > 1:  # only the subspace is PCA's: the weights are not its eigenvectors
        assert np.abs(weight @ rotation[:, :k]).max(axis=1).min() < 0.999


@pytest.mark.system("S69")
def test_on_images_it_is_sklearns_pca():
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    images = load_digits().images[:300, None]
    model, error = trained(torch.tensor(images), 3, levels=17)
    pca = PCA(3, svd_solver="full").fit(images.reshape(300, -1) / 16)
    total = np.cov(images.reshape(300, -1).T / 16, bias=True).trace()
    assert error == pytest.approx(total - pca.explained_variance_.sum() * 299 / 300, rel=1e-6)
    spanned = model.decoder[0].weight.detach().numpy()  # W₂ is free where pixels are constant
    assert subspace_angles(spanned, pca.components_.T) == pytest.approx(0, abs=0.01)
    rebuilt = pca.inverse_transform(pca.transform(images.reshape(300, -1) / 16)) * 16
    result = model.preprocess.inverse(model(model.preprocess(torch.tensor(images)))).detach().numpy()
    assert result.reshape(300, -1) == pytest.approx(rebuilt, abs=0.05)


@pytest.mark.system("S69")
@pytest.mark.parametrize("member", [Member("linear-autoencoder", s, {"latent_dim": 2}) for s in (PLANE, DIGITS)])
def test_it_is_affine(member):
    model, x = member.trained(), member.examples(3).float()
    between = model.reconstruct((x[:1] + x[1:2]) / 2)
    torch.testing.assert_close(between, model.reconstruct(x[:2]).mean(0, keepdim=True), rtol=1e-4, atol=1e-3)


@pytest.mark.system("S69")
def test_refusals():
    with pytest.raises(ValueError, match="latent_dim: got 3, wanted a number from 1 to 2"):
        Member("linear-autoencoder", PLANE, {"latent_dim": 3}).run()
