"""The small automatic differentiation against worked examples and torch's."""

import math
import random

import pytest
import torch

from thalweg.autodiff import functions as ad
from thalweg.autodiff.drawing import draw, to_dot
from thalweg.autodiff.graph import Var, nodes
from thalweg.autodiff.modes import adjoints, derivative, gradient, multiplications, tangents


def worked(x, y, z):
    return ad.sin(ad.cosh(y**2 + x / z) + ad.tanh(x * y * z)) / ad.log(1 + ad.exp(x))


@pytest.mark.system("S12")
@pytest.mark.oracle("O5")
def test_a_function_of_three_variables():
    value, slopes = gradient(worked, 3.3, 1.1, 2.3)
    assert value == pytest.approx(0.2924030, abs=1e-6)
    assert slopes == pytest.approx([-0.285274, -1.01578, 0.288027], rel=1e-5)
    for i in range(3):
        direction = [float(i == j) for j in range(3)]
        assert derivative(worked, [3.3, 1.1, 2.3], direction)[1] == pytest.approx(slopes[i], rel=1e-12)


@pytest.fixture
def example():
    """f = y log x + √(y log x) at (3, 2), node by node."""
    x, y = Var(3.0, name="x"), Var(2.0, name="y")
    a = ad.log(x)
    b = y * a
    c = ad.sqrt(b)
    return {"x": x, "y": y, "a": a, "b": b, "c": c, "f": c + b}


@pytest.mark.system("S12")
@pytest.mark.oracle("O6")
def test_reverse_mode_node_by_node(example):
    slopes = adjoints(example["f"])
    root = 1 / math.sqrt(2 * math.log(3))
    expected = {
        "f": 1.0, "c": 1.0, "b": 1 + root / 2, "a": 2 + root, "x": (2 + root) / 3,
        "y": math.sqrt(math.log(3) / 2) / 2 + math.log(3),
    }  # fmt: skip
    assert example["f"].value == pytest.approx(3.6795284, abs=1e-7)
    for name, value in expected.items():
        assert slopes[example[name]] == pytest.approx(value, rel=1e-12), name
    assert [slopes[example[n]] for n in "bax"] == pytest.approx([1.3373128, 2.6746255, 0.8915418], abs=1e-7)
    assert slopes[example["y"]] == pytest.approx(1.4691882, abs=1e-7)


@pytest.mark.system("S12")
@pytest.mark.oracle("O6")
def test_forward_mode_node_by_node(example):
    by_x, by_y = (tangents(example["f"], {example[name]: 1.0}) for name in "xy")
    root = math.sqrt(2 * math.log(3))
    assert by_x[example["b"]] == pytest.approx(2 / 3)
    assert by_x[example["c"]] == pytest.approx(1 / (3 * root))
    assert by_x[example["c"]] == pytest.approx(0.2248752, abs=1e-7)
    assert by_x[example["f"]] == pytest.approx((2 + 1 / root) / 3)
    assert by_y[example["c"]] == pytest.approx(math.log(3) / (2 * root))
    assert by_y[example["c"]] == pytest.approx(0.3705760, abs=1e-7)
    assert by_y[example["f"]] == pytest.approx(math.sqrt(math.log(3) / 2) / 2 + math.log(3))


def expression(draw, functions, variables, depth):
    """A random expression of the variables, with the functions by name."""
    if depth == 0:
        return variables[draw.randrange(len(variables))]
    kind = draw.choice(["+", "-", "*", "/", "power", "log", "sqrt", "exp", "sin", "cos", "tanh", "sigmoid", "relu"])
    a = expression(draw, functions, variables, depth - 1)
    if kind in "+-*/":
        b = expression(draw, functions, variables, depth - 1)
        return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / (b * b + 1.5)}[kind]()
    if kind == "power":
        return (a * a + 0.5) ** 1.7
    if kind in ("log", "sqrt"):
        return functions[kind](a * a + 0.3)
    return functions["tanh"](functions[kind](functions["tanh"](a)))


@pytest.mark.system("S12")
@pytest.mark.parametrize("seed", range(30))
def test_random_expressions_have_the_gradients_of_torch(seed):
    values = [random.Random(seed).uniform(-1.5, 1.5) for _ in range(3)]
    own = {name: getattr(ad, name) for name in ad.__all__}
    theirs = {name: getattr(torch, name) for name in ad.__all__}
    value, slopes = gradient(lambda *x: expression(random.Random(seed), own, x, 6), *values)
    x = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    y = expression(random.Random(seed), theirs, x, 6)
    expected = torch.autograd.grad(y, x, allow_unused=True)
    assert value == pytest.approx(y.item(), rel=1e-12)
    assert slopes == pytest.approx([0.0 if g is None else g.item() for g in expected], rel=1e-9, abs=1e-12)


@pytest.mark.system("S12")
def test_a_deep_graph_needs_no_recursion():
    x = Var(1.0)
    y = x
    for _ in range(20_000):
        y = y + x
    assert adjoints(y)[x] == 20_001


def test_powers_and_reflected_operators():
    assert gradient(lambda x: 2**x, 3.0) == (8.0, [pytest.approx(8 * math.log(2))])
    assert gradient(lambda x: (-x) ** 2, 3.0) == (9.0, [6.0])
    assert gradient(lambda x: 1 - 6 / x, 2.0) == (-2.0, [1.5])
    assert gradient(lambda x: x**0, 0.0) == (1.0, [0.0])


@pytest.mark.parametrize("function", [ad.log, ad.sqrt])
def test_arguments_out_of_range_are_refused(function):
    with pytest.raises(ValueError, match=r"got 0\.0, wanted a number greater than 0"):
        function(0.0)


@pytest.mark.system("S12")
def test_the_better_mode_depends_on_the_sizes():
    narrowing, widening = [100, 50, 20, 1], [1, 20, 50, 100]
    assert multiplications(narrowing, reverse=True) < multiplications(narrowing, reverse=False)
    assert multiplications(widening, reverse=True) > multiplications(widening, reverse=False)
    a, b, c = (torch.zeros(m, n) for m, n in ((1, 20), (20, 50), (50, 100)))
    assert multiplications(narrowing, reverse=True) == a.numel() * 50 + (a @ b).numel() * 100
    assert multiplications(narrowing, reverse=False) == b.shape[0] * c.numel() + a.numel() * 100


@pytest.mark.system("S12")
def test_drawings_have_every_node_and_arrow(example):
    text = to_dot(example["f"])
    assert text.count("label=") == len(nodes(example["f"])) == 6
    assert text.count("->") == 6
    assert "adjoint 0.891542" in text
    axes = draw(example["f"])
    labels = [t.get_text() for t in axes.texts if t.get_text()]
    assert len(labels) == 6
    assert any("value 3.67953" in label for label in labels)
