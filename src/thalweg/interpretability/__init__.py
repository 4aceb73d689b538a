"""Looking inside networks of images: one `Probe` for any `torch.nn.Module`."""

from thalweg.interpretability.probe import Probe
from thalweg.interpretability.result import Explanation

__all__ = ["Explanation", "Probe"]
