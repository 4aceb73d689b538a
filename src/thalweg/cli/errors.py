"""Prints an error in one line on stderr, and chooses the exit code: a mistake of the user, or a failure."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Mapping

__all__ = ["BROKEN_PIPE", "report"]

MISTAKE, FAILURE, SIGNAL, BROKEN_PIPE = 2, 1, 128, 141
LONGEST = 600

# system errors that the user can correct by other arguments; a full disk is not among them
WANTED = {
    errno.ENOENT: "a path that exists",
    errno.EEXIST: "a new name",
    errno.ENOTDIR: "a folder where there is a file",
    errno.EISDIR: "a file where there is a folder",
    errno.EACCES: "a path that this user may read and write",
    errno.EPERM: "a path that this user may read and write",
    errno.EROFS: "a place that can be written",
    errno.ENAMETOOLONG: "a shorter name",
    errno.ELOOP: "a path without a loop of links",
}


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def report(error: BaseException, flags: Mapping[str, str]) -> int:
    """Print `thalweg: error: ...` and return the exit code.

    `flags` are the options by their names in Python: if the message begins with such a name, it is replaced by the
    option. With THALWEG_DEBUG=1 the traceback is printed first.
    """
    if os.environ.get("THALWEG_DEBUG") == "1":
        traceback.print_exception(error)
    signum = getattr(error, "signum", signal.SIGINT if isinstance(error, KeyboardInterrupt) else None)
    if signum is not None:
        print(f"thalweg: {_line(error) or 'interrupted'}", file=sys.stderr)
        return SIGNAL + int(signum)
    message = _message(error, flags)
    if len(message) > LONGEST:
        message = message[: LONGEST - 1] + "…"
    print(f"thalweg: error: {message}", file=sys.stderr)
    users = (isinstance(error, ValueError) and not _foreign(error)) or (
        isinstance(error, OSError) and error.errno in WANTED
    )
    return MISTAKE if users else FAILURE


def _message(error: BaseException, flags: Mapping[str, str]) -> str:
    line = _line(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        wanted = f", wanted {WANTED[error.errno]}" if error.errno in WANTED else ""
        full = (
            "; the last checkpoint is kept: free some space, then use `thalweg resume`"
            if error.errno in FULL and error.filename
            else ""
        )
        return f"{where}{error.strerror}{wanted}{full}"
    expected = (ValueError, ArithmeticError, RuntimeError, OSError, MemoryError, ImportError)
    if isinstance(error, expected) and not (isinstance(error, ValueError) and _foreign(error)):
        name, colon, rest = line.partition(":")
        return f"{flags[name]}:{rest}" if colon and name in flags else line or type(error).__name__
    return f"{type(error).__name__}: {line} (internal error, please report; THALWEG_DEBUG=1 shows where)"


def _foreign(error: BaseException) -> bool:
    """Return whether a library raised the error, which is then an internal error and not the user's.

    Our own ValueErrors come from a `raise` statement of this package; those of a user's model from the user's files.
    Errors of compiled code, such as `bytes.decode` or an operation of numpy, end at a line of this package that is not
    a `raise`.
    """
    import dis
    import sysconfig
    from pathlib import Path

    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None:
        return False
    code = trace.tb_frame.f_code
    file = Path(code.co_filename)
    if Path(__file__).parent.parent in file.parents:
        return code.co_code[trace.tb_lasti] != dis.opmap["RAISE_VARARGS"]
    libraries = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return any(place in file.parents for place in libraries)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
