"""Many-body expansions of models that were trained on nothing, for tests."""

from itertools import permutations as orders_of

import numpy as np
from ase.build import molecule

from atomcore.data import Criterion
from atomcore.models import ManyBody, Term
from atomcore.models.gdml import GdmlRecord
from test_clusters import KINDS

MOLECULES = {"h2o": "H2O", "nh3": "NH3"}
SUM, FARTHEST = "centre_distance_sum", "largest_atom_distance"


def symmetries(components):
    """Return all exchanges of hydrogens in a molecule and of molecules of the same component."""
    sizes = [len(KINDS[name]) for name in components]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = []
    for order in orders_of(range(len(components))):
        if any(components[k] != components[p] for k, p in enumerate(order)):
            continue
        choices = [[(0, *own) for own in orders_of(range(1, sizes[p]))] for p in order]
        for pick in np.ndindex(*[len(own) for own in choices]):
            rows.append([starts[p] + a for p, own, c in zip(order, choices, pick, strict=True) for a in own[c]])
    return np.array(sorted(rows))


def made_record(components, *, seed=0, points=4, constraints=False):
    """Return a GDML model that was trained on nothing: smooth, and invariant as it must be."""
    rng = np.random.default_rng([seed, *map(len, components)])
    numbers = np.concatenate([molecule(MOLECULES[name]).numbers for name in components])
    n, pairs = len(numbers), len(numbers) * (len(numbers) - 1) // 2
    return GdmlRecord(
        numbers=numbers,
        sigma=1.7,
        scale=0.3,
        constant=0.1 * len(components),
        descriptors=rng.uniform(0.2, 1.0, (points, pairs)),
        derivative_coefficients=rng.normal(size=(points, pairs)),
        energy_coefficients=rng.normal(size=points) if constraints else None,
        permutations=symmetries(components) if n else None,
    )


def expansion(*, width=1.0, cutoff=5.5, measure=SUM, mixed=True, threads=1):
    """Return a model with one-, two- and three-body terms."""
    of = [("h2o",), ("h2o", "h2o"), ("h2o", "h2o", "h2o")]
    if mixed:
        of += [("nh3",), ("nh3", "h2o"), ("h2o", "nh3", "h2o")]
    terms = []
    for k, components in enumerate(of):
        criterion = None
        if len(components) > 1:
            criterion = Criterion(measure=measure, cutoff=cutoff + 1.5 * (len(components) - 2), width=width)
        record = made_record(components, seed=k, constraints=k == 1)
        terms.append(Term(components=components, model=record, criterion=criterion))
    return ManyBody(terms, KINDS, threads=threads)


def by_definition(model, atoms, entities):
    """Return energy and forces from one set of molecules after the other."""
    energy, forces = 0.0, np.zeros((len(atoms), 3))
    for values in model.predict_decomposed(atoms, entities=entities):
        for members, own_energy, own_forces in zip(values.entities, values.energies, values.forces, strict=True):
            energy += own_energy
            np.add.at(forces, np.concatenate([entities.atoms_of(e) for e in members]), own_forces)
    return energy, forces


TRICLINIC = np.array([[6.2, 0, 0], [1.0, 6.0, 0], [-0.7, 0.9, 6.6]])
