"""A ValueError that this package raises is the user's mistake, one that a library raises is an internal error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import thalweg.checks
from thalweg.cli.errors import report

SOURCES = {  # where code may stand
    "package": Path(thalweg.checks.__file__),
    "user": Path("/home/someone/model.py"),
}
OURS = {
    "a check": "raise ValueError('x: got 1, wanted 2')",
    "a translated error": "try:\n    int('x')\nexcept ValueError:\n    raise ValueError('x: got 1, wanted') from None",
    "a chained error": "try:\n    int('x')\nexcept ValueError as e:\n    raise ValueError('x: got 1, wanted 2') from e",
    "before a finally": "try:\n    raise ValueError('x: got 1, wanted 2')\nfinally:\n    x = 1",
    "in a with": "import contextlib\nwith contextlib.ExitStack():\n    raise ValueError('x: got 1, wanted 2')",
    "raised again": "try:\n    raise ValueError('x: got 1, wanted 2')\nexcept ValueError:\n    raise",
    "in a function": "def f():\n    raise ValueError('x: got 1, wanted 2')\nf()",
    "in a comprehension": "from thalweg.checks import positive\n[positive('x', v) for v in (1, -1)]",
}
FOREIGN = {
    "a codec": "b'\\xff'.decode()",
    "another codec": "'\\udcff'.encode()",
    "a number": "int('abc')",
    "numpy": "import numpy as np\nnp.ones(3) + np.ones(4)",
    "linear algebra": "import numpy as np\nnp.linalg.inv(np.zeros((2, 2)))",
    "JSON that is written": "import json\njson.dumps(float('nan'), allow_nan=False)",
    "JSON that is read": "import json\njson.loads('{')",
    "unpacking": "a, b = [1]",
    "two lengths": "list(zip([1], [], strict=True))",
    "a logarithm": "import math\nmath.log(-1)",
    "a codec before a finally": "try:\n    b'\\xff'.decode()\nfinally:\n    x = 1",
    "a codec in a with": "import contextlib\nwith contextlib.ExitStack():\n    b'\\xff'.decode()",
    "a codec beside an except": "try:\n    b'\\xff'.decode()\nexcept KeyError:\n    pass",
    "a codec raised again": "try:\n    b'\\xff'.decode()\nexcept ValueError:\n    raise",
    "a codec within a function": "def f(x):\n    return x.decode()\nf(b'\\xff')",
}


def code_of(source: str, place: str, capsys: Any) -> tuple[int, str]:
    """Run the source as if it stood in that file; return the exit code and the line that is printed."""
    try:
        exec(compile(source, SOURCES[place], "exec"), {})
    except ValueError as error:
        return report(error, {}), capsys.readouterr().err
    raise AssertionError("no error")


@pytest.mark.parametrize("place", SOURCES)
@pytest.mark.parametrize("case", OURS)
def test_value_errors_of_thalweg_are_mistakes_of_the_user(case: str, place: str, capsys: Any) -> None:
    code, line = code_of(OURS[case], place, capsys)
    assert code == 2
    assert "internal error" not in line
    assert line.startswith("thalweg: error: x: got ")


@pytest.mark.parametrize("case", FOREIGN)
def test_errors_of_libraries_are_internal(case: str, capsys: Any) -> None:
    code, line = code_of(FOREIGN[case], "package", capsys)
    assert code == 1
    assert line.endswith("(internal error, please report; THALWEG_DEBUG=1 shows where)\n")
    assert line.count("\n") == 1
