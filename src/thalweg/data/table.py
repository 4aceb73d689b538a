"""Tables: numeric columns of .csv and .parquet files."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.checks import choice
from thalweg.config import DataConfig
from thalweg.data.assemble import Raw, classify
from thalweg.data.dataset import Spec, Split, class_target

__all__ = ["read_table"]

EXACT = 1 << 53  # integers up to here are float64 numbers
INTEGER, DIGITS = re.compile(r"-?(0|[1-9]\d*)"), re.compile(r"[+-]?\d+")  # 0007 is text, not an integer


def read_table(path: Path, config: DataConfig, like: Spec | None = None) -> Raw:
    """Read a .csv file with a header or a .parquet file: rows are float64 vectors, `label_column` holds the class.

    Rows with one value in the column `split_by` stay in one split; the column is no part of the vectors. If `like` is
    given, the Spec of the data that a model was trained on, both columns and single labels may be missing.

    Raises ValueError naming the column that is not numeric, missing, duplicated or, as a label, not a category.
    """
    if config.split_by is not None and config.split_by == config.label_column:
        raise ValueError(
            f"split_by: got '{config.split_by}', the column of the labels, with which no split has all classes; wanted"
            " another column"
        )
    special = {"label_column": config.label_column, "split_by": config.split_by}
    table = _read(path, [name for name in special.values() if name is not None])
    try:
        columns = [re.sub(r"^'(?=[=+@-])", "", name) for name in table.column_names]
    except UnicodeDecodeError:
        raise ValueError(f"{path.name}: got names of columns that are not UTF-8; save the file as UTF-8") from None
    table = table.rename_columns(columns)
    if not columns or not table.num_rows:
        raise ValueError(f"{path.name}: got an empty table, wanted rows of numbers")
    if path.suffix.lower() == ".csv":
        _check_header(path, columns)
    for column, count in Counter(columns).items():
        if count > 1:
            raise ValueError(f"{path.name}: got column '{column}' twice, wanted distinct names")
    for option, name in special.items():
        if name is not None and not (like and name not in columns):
            choice(option, name, columns)
    y, classes, groups = None, None, None
    if config.label_column in columns:
        label = table.column(config.label_column)
        if like is None or not label.null_count:
            y, classes = _labels(path, label, str(config.label_column))
    if config.split_by in columns:
        groups = np.array([str(value) for value in table.column(config.split_by).to_pylist()])
    numeric = [column for column in columns if column not in special.values()]
    if not numeric:
        raise ValueError(f"{path.name}: got no column beside '{columns[0]}', wanted some with numbers")
    x = np.empty((table.num_rows, len(numeric)), np.float64)
    for i, column in enumerate(numeric):
        x[:, i] = _numbers(path, table.column(column), column)
    return Raw(kind="vector", train=Split(x, y), target=class_target(classes), columns=tuple(numeric), groups=groups)


def _read(path: Path, as_written: list[str]) -> Any:
    """Return the table, with the columns `as_written` of a .csv file as text."""
    import pyarrow as pa

    try:
        if path.suffix.lower() == ".csv":
            import pyarrow.csv

            types = pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in as_written}, strings_can_be_null=True, null_values=[""]
            )
            return pyarrow.csv.read_csv(path, convert_options=types if as_written else None)
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(path) as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: got text that is not UTF-8 ({error.reason}), wanted UTF-8") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        reason = str(error).splitlines()[0]
        wanted = "UTF-8" if "UTF8" in reason else path.suffix
        raise ValueError(f"{path.name}: got no table ({reason}), wanted {wanted}") from None


def _check_header(path: Path, columns: list[str]) -> None:
    try:
        [float(column) for column in columns]
    except ValueError:
        pass
    else:
        raise ValueError(f"{path.name}: got numbers in the first line, wanted a header with the names of the columns")
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t"):
        raise ValueError(f"{path.name}: got the header '{columns[0]}', wanted commas between the columns")


def _numbers(path: Path, column: Any, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_binary(kind):
        raise ValueError(f"{path.name}: column '{name}' has text that is not UTF-8; save the file as UTF-8")
    if pa.types.is_integer(kind) and column.null_count < len(column):
        ends = pc.min_max(column).as_py()
        if max(-ends["min"], ends["max"]) > EXACT:
            raise ValueError(
                f"{path.name}: column '{name}' has integers beyond ±{EXACT}, which a 64-bit float cannot hold, wanted"
                " smaller ones: subtract an offset"
            )
    if pa.types.is_boolean(kind):
        column = pc.cast(column, pa.uint8())
    elif pa.types.is_decimal(kind):
        column = pc.cast(column, pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        what = "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)
        raise ValueError(
            f"{path.name}: column '{name}' is {what}, wanted numbers: leave it out, encode it as numbers, or, if it is"
            f" the class, give --label-column '{name}'"
        )
    return column.to_numpy()


def _labels(path: Path, column: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    """Return class indices and classes, which are integers only if all are written as integers: 0007 is text."""
    import pyarrow as pa

    if pa.types.is_binary(column.type):
        raise ValueError(f"{path.name}: column '{name}' has text that is not UTF-8; save the file as UTF-8")
    values = column.to_pylist()
    if None in values:
        raise ValueError(f"{path.name}: got no value in row {values.index(None)}, column '{name}', wanted a label")
    texts = [str(value) for value in values]
    if all(INTEGER.fullmatch(text) for text in texts):
        values = [int(text) for text in texts]
    elif not isinstance(values[0], bool) and _numeric(texts):
        for value in values:
            if not float(value).is_integer():  # nor are nan and infinity
                raise ValueError(f"{path.name}: got {value} in label column '{name}', wanted integers or text")
        values = [int(float(value)) for value in values]
    integers = all(isinstance(value, int) for value in values)
    classes, (y,) = classify(f"{path.name}: {name}", np.array(values if integers else [str(v) for v in values]))
    return y, classes


def _numeric(texts: list[str]) -> bool:
    """Return whether all texts are numbers, some of them with a point, an exponent or as words such as nan."""
    try:
        [float(text) for text in texts]
    except ValueError:
        return False
    return not all(DIGITS.fullmatch(text) for text in texts)
