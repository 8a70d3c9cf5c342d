"""Many-body expansions: the energy of molecules from models of one, two, three of them."""

from atomcore.models.many_body.model import ManyBody
from atomcore.models.many_body.terms import Term, TermValues, total

__all__ = ["ManyBody", "Term", "TermValues", "total"]
