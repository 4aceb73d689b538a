"""Maps of networks of `nn.ReLU` modules are those of Captum; of functional rectifiers Captum returns the gradient."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from probed_networks import Net, images
from thalweg.interpretability import Probe

captum = pytest.importorskip("captum.attr")
pytestmark = [
    pytest.mark.system("S107"),
    pytest.mark.system("S108"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
METHODS = {"gradient": "Saliency", "guided": "GuidedBackprop", "deconv": "Deconvolution"}


class Modules(nn.Module):
    """The layers of `Net` with one `nn.ReLU` for each rectifier."""

    def __init__(self) -> None:
        super().__init__()
        net = Net(nn.ReLU())
        self.layers = nn.Sequential(net.conv1, nn.ReLU(), net.pool, net.conv2, nn.ReLU(), nn.Flatten(), net.fc1,
                                    nn.ReLU(), net.fc2)  # fmt: skip

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("method", METHODS)
def test_maps(method):
    """To 1e-6."""
    x = images()
    arguments = {"abs": False} if method == "gradient" else {}
    expected = getattr(captum, METHODS[method])(Modules().eval()).attribute(x, target=1, **arguments).detach()
    got = getattr(Probe(Modules().eval()), method)(x, target=1).values
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)


def test_occlusion():
    """The mean of the score's decrease over the positions that cover a pixel, with the stride of a divisor."""
    x = images()
    expected = captum.Occlusion(Modules().eval()).attribute(
        x, sliding_window_shapes=(1, 4, 4), strides=(1, 2, 2), target=2, baselines=0.5
    )
    got = Probe(Modules().eval()).occlusion(x, target=2, size=4, stride=2)
    torch.testing.assert_close(got.extra["attribution"], expected[:, 0].float(), atol=1e-5, rtol=1e-4)


def test_functional_rectifiers():
    """Ours has the maps of the modules; Captum has those of the plain gradient."""
    x, functional = images(), Net(F.relu).eval()
    ours = Probe(functional).guided(x, target=1).values
    assert torch.equal(ours, Probe(Modules().eval()).guided(x, target=1).values)
    theirs = captum.GuidedBackprop(functional).attribute(x, target=1)
    plain = Probe(functional).gradient(x, target=1).values
    torch.testing.assert_close(theirs, plain, atol=1e-7, rtol=1e-5)
    assert not torch.allclose(ours, plain)
