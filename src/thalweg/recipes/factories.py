"""Objects of the user's own code, which is imported only where the user names it."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

__all__ = ["made_by"]


def made_by(option: str, choice: str) -> Any:
    """Return what the function without arguments named `package.module:factory` returns.

    Modules of the current folder are found while it is imported, as by `python -m`, after all installed ones. Raises
    ValueError, which names the option, for a factory that cannot be imported or that fails.

    >>> made_by("features", "collections:OrderedDict")
    OrderedDict()
    """
    module, _, factory = choice.partition(":")
    here = os.getcwd()
    sys.path.append(here)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the document of --json
            return getattr(importlib.import_module(module), factory)()
    except (Exception, SystemExit) as error:  # a user's code may raise any exception
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{option}: got '{choice}', wanted a factory that can be imported and called ({reason})"
        ) from None
    finally:
        sys.path.remove(here)
