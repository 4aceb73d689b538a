"""Tables: numeric columns of .csv and .parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from thalweg.checks import choice
from thalweg.config import DataConfig
from thalweg.data.assemble import Raw, classify
from thalweg.data.dataset import Split

__all__ = ["read_table"]


def read_table(path: Path, config: DataConfig) -> Raw:
    """Read a .csv (with a header) or .parquet file: each row a float64 vector, `label_column` the class.

    Raises ValueError naming the column that is not numeric, missing, doubled or, as a label, not a category.
    """
    table = _read(path)
    columns: list[str] = table.column_names
    if not columns or not table.num_rows:
        raise ValueError(f"{path.name}: got an empty table, wanted rows of numbers")
    if path.suffix.lower() == ".csv":
        _check_header(path, columns)
    for column in columns:
        if columns.count(column) > 1:
            raise ValueError(f"{path.name}: got column '{column}' twice, wanted distinct names")
    label = config.label_column
    y, classes = None, None
    if label is not None:
        choice("label_column", label, columns)
        columns = [column for column in columns if column != label]
        y, classes = _labels(path, table.column(label), label)
    if not columns:
        raise ValueError(f"{path.name}: got no column beside '{label}', wanted some with numbers")
    x = np.empty((table.num_rows, len(columns)), np.float64)
    for i, column in enumerate(columns):
        x[:, i] = _numbers(path, table.column(column), column)
    return Raw(kind="vector", train=Split(x, y), classes=classes, columns=tuple(columns))


def _read(path: Path) -> Any:
    import pyarrow as pa

    try:
        if path.suffix.lower() == ".csv":
            import pyarrow.csv

            return pyarrow.csv.read_csv(path)
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(path) as file:
            return file.read()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path.name}: got something else than a table ({reason}), wanted {path.suffix}") from None


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
    import pyarrow as pa

    values = column.to_pylist()
    if None in values:
        raise ValueError(f"{path.name}: got no value in row {values.index(None)}, column '{name}', wanted a label")
    if pa.types.is_floating(column.type):
        for value in values:
            if not value.is_integer():  # nan and infinity are not, either
                raise ValueError(f"{path.name}: got {value} in label column '{name}', wanted whole numbers or text")
        values = [int(value) for value in values]
    whole = all(isinstance(value, int) for value in values)
    classes, (y,) = classify(f"{path.name}: {name}", np.array(values if whole else [str(v) for v in values]))
    return y, classes
