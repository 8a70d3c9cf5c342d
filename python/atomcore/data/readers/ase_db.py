"""ASE's data bases, in SQLite or JSON, with their key-value pairs and data as keys of labels."""

import contextlib
from pathlib import Path

from atomcore._core import AtomcoreError
from atomcore.data.dataset import Dataset
from atomcore.data.readers.atoms import check_ase_units, dataset_of
from atomcore.data.readers.labels import Request, chosen, parsing


def read_sqlite(file: Path, request: Request) -> Dataset:
    """Read a data base in SQLite."""
    import sqlite3

    # ASE makes its tables where there are none, in an empty file and in the data base of another program.
    with parsing(file, "data base of ASE"):
        uri = f"{file.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        if "systems" not in tables:
            raise AtomcoreError(f"{file.name} is no data base of ASE: it has no table 'systems'")
    return read_database(file, request, "db")


def read_database(file: Path, request: Request, kind: str) -> Dataset:
    """Read a data base of ASE; ``kind`` is "db" or "json"."""
    from ase.db import connect

    check_ase_units(file, request.units)
    with parsing(file, "data base of ASE"):
        rows = connect(file, type=kind, use_lock_file=False).select()
        images = [row.toatoms(add_additional_information=True) for row in rows]
    return dataset_of(chosen(file, images, request.index), request.keys, file.name)
