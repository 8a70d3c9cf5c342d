"""Files named .json, which hold one of several formats."""

import json
from pathlib import Path

from atomcore.data.dataset import Dataset
from atomcore.data.readers.ase_db import read_database
from atomcore.data.readers.atoms import read_with_ase
from atomcore.data.readers.cjson import cjson_dataset, is_cjson
from atomcore.data.readers.labels import Request, parsing
from atomcore.data.readers.qcschema import is_qcschema, qcschema_dataset


def read_json(file: Path, request: Request) -> Dataset:
    """Read QCSchema, Chemical JSON or a data base of ASE, or else what ASE makes of it."""
    with parsing(file, "JSON file"):
        content = json.loads(file.read_text(encoding="utf-8"))
    if is_qcschema(content):
        return qcschema_dataset(file, request, content)
    if is_cjson(content):
        return cjson_dataset(file, request, content)
    if isinstance(content, dict) and "nextid" in content:
        return read_database(file, request, "json")
    return read_with_ase(file, request)
