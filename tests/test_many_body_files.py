"""Many-body expansions against mbGDML, trained, in files and from the command line."""

import importlib.util
import pickle

import ase
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from ase.units import fs, kcal, mol

from atomcore import AtomcoreError, Calculator, Potential, model_file
from atomcore.cli import main
from atomcore.data import Criterion, Entities, cut_clusters, decompose, find_sets
from atomcore.interop.sgdml import ModelFile, read_many_body, write_model_file
from atomcore.models import GDML, ManyBody, Term
from atomcore.models.gdml import GdmlRecord
from helpers import NEEDS_SOURCES, REPOSITORY, shared_data
from many_body_cases import FARTHEST, SUM, TRICLINIC, expansion, made_record
from model_builder import random_model
from test_clusters import KINDS, mixture
from tolerances import ENGINE, EXACT, Tolerance, assert_close

EV = kcal / mol  # of a kcal/mol
TRAINED = Tolerance(1e-4, 0.0)  # eV/A, at what was trained on
COEFFICIENTS = Tolerance(4e-3, 0.0)  # kcal/mol: the coefficients of these models reach 1e16
COEFFICIENTS_FORCES = Tolerance(1e-2, 0.0)  # kcal/mol/A


def water_models(threads=1):
    """Return the shared models of water from one to three bodies, in eV."""
    terms = []
    for n, cutoff in ((1, None), (2, 6.0), (3, 10.0)):
        with np.load(shared_data("mbgdml_models_500") / f"{n}h2o.npz") as data:
            record = GdmlRecord(
                numbers=data["z"],
                sigma=float(data["sig"]),
                scale=float(data["std"]) * EV,
                constant=float(data["c"]) * EV,
                descriptors=data["R_desc"].T,
                derivative_coefficients=data["R_d_desc_alpha"],
                permutations=data["perms"],
            )
        criterion = None if cutoff is None else Criterion(measure=SUM, cutoff=cutoff)
        terms.append(Term(components=("h2o",) * n, model=record, criterion=criterion))
    return ManyBody(terms, threads=threads)


def test_water_16mer_of_mbgdml():
    model = water_models()
    with np.load(shared_data("water_mp2") / "16h2o.npz") as data:
        atoms = ase.Atoms(data["Z"], data["R"][0])
        reference = data["E"][0]
    results = model.compute(atoms, ("energy", "orders"))
    assert_close(results["energy"] / EV, MBGDML_16MER[2], COEFFICIENTS)
    assert_close(np.cumsum(results["orders"]) / EV, MBGDML_16MER, COEFFICIENTS)
    assert abs(results["energy"] / EV - reference) < 10  # of 7.7e5: MP2 itself


# by mbGDML 0.1.1 with the same models, kcal/mol: one body, one and two, all
MBGDML_16MER = [-766188.3543017787, -766338.8237565713, -766368.033020084]
MBGDML_HEXAMERS = [
    [-287320.7127447, -287320.86112397, -287320.85039932, -287320.79886534, -287320.94645294, -287320.67578736],
    [-287366.00791582, -287365.58884049, -287362.42396593, -287362.48393824, -287359.20563999, -287361.60904852],
    [-287372.29956086, -287372.21281219, -287371.36434903, -287370.94109146, -287370.53481271, -287370.43522972],
]


def test_water_hexamers_of_mbgdml():
    model = water_models()
    with np.load(shared_data("water_mp2") / "6h2o.npz") as data:
        several = [ase.Atoms(data["Z"], R) for R in data["R"][:6]]
    found = np.array([model.compute(atoms, ["orders"])["orders"] for atoms in several])
    assert_close(np.cumsum(found, axis=1).T / EV, MBGDML_HEXAMERS, COEFFICIENTS)


def test_water_forces_are_those_that_mbgdml_sums():
    """Forces of the first molecule of the first hexamer by mbGDML 0.1.1, kcal/mol/A."""
    model = water_models()
    with np.load(shared_data("water_mp2") / "6h2o.npz") as data:
        atoms = ase.Atoms(data["Z"], data["R"][0])
    forces = model.energy_forces(atoms)[1] / EV
    assert_close(forces[:3], MBGDML_FORCES, COEFFICIENTS_FORCES)
    sets = find_sets(atoms, model.entities(atoms), ("h2o",) * 3, model.terms[2].criterion)
    assert len(sets.values) == 20


MBGDML_FORCES = [[1.268409, 4.324969, -3.005858], [-0.660689, 0.179341, 3.05743], [-0.106228, -4.235014, 0.573884]]


def test_terms_are_trained_on_clusters():
    frames = [mixture(["H2O", "H2O", "H2O"], seed=s, spread=3.5) for s in range(30)]
    for s, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=s)
    entities = Entities.consecutive(frames[0].numbers, KINDS)
    criterion = Criterion(measure=SUM, cutoff=20.0)
    model = ManyBody(
        [
            Term(components=("h2o",), model=GDML(sigma=5.0)),
            Term(components=("h2o", "h2o"), model=GDML(sigma=5.0), criterion=criterion),
        ],
        {"h2o": "OHH"},
    )
    with pytest.raises(ValueError, match="the model of h2o is not trained; call fit first"):
        model.compute(frames[0])
    cut = [cut_clusters(frames, ("h2o",) * n, entities=entities) for n in (1, 2)]
    labelled = [own.labelled(expansion(mixed=False)) for own in cut]
    parts = decompose(labelled)
    with pytest.raises(ValueError, match=r"clusters has h2o; accepted: one for each term, h2o, h2o\+h2o"):
        model.fit(parts[:1])
    assert model.fit(parts, progress=False) is model
    energies, forces = model.predict(cut[1])
    assert labelled[1].dataset.forces.std() > 1000 * TRAINED.atol
    assert_close(forces, labelled[1].dataset.forces, TRAINED)
    pair = cut[1].dataset[4]
    alone = model.terms[1].model.predict(pair)[0] + sum(model.terms[0].model.predict([pair[:3], pair[3:]])[0])
    assert_close(energies[4], alone[0], ENGINE)
    model.terms[0].model.fit(parts[0].dataset.subset(range(10)), progress=False)  # from then on it is another
    assert abs(model.compute(pair)["energy"] - energies[4]) > 1e-6
    with pytest.raises(TypeError, match="has no fit"):
        ManyBody([Term(components=("h2o",), model=EMT())], KINDS).fit(cut[:1])


# ---- in files


@pytest.mark.parametrize("box", [None, TRICLINIC])
def test_saved_models_run_in_the_engine(box, tmp_path):
    model = expansion(threads=2)
    model.save(tmp_path / "model.atomcore")
    potential = Potential.load(tmp_path / "model.atomcore")
    atoms = mixture(["H2O", "NH3", "H2O", "H2O"], box, seed=24)
    asked = ("energy", "forces", "energies") + (("stress",) if box is not None else ())
    expected = model.compute(atoms, asked)
    again = ManyBody.load(tmp_path / "model.atomcore")
    for other in (potential, pickle.loads(pickle.dumps(potential)), again):
        results = other.compute(atoms, asked)
        for name in asked:
            assert_close(results[name], expected[name], EXACT)
    batch = potential.compute_batch([atoms, molecule("H2O")], ("energy",))
    assert_close(batch[0]["energy"], expected["energy"], EXACT)
    assert (potential.kind, potential.capability) == ("many_body", "global")
    assert repr(again) == repr(model)
    with pytest.raises(ValueError, match="structure 1: atom 0"):
        potential.compute_batch([atoms, molecule("CH4")])
    with pytest.raises(ValueError, match="knows no spread"):
        potential.compute(atoms, ["energy_spread"])


def test_calculator_of_a_saved_model_conserves_energy(tmp_path):
    model = expansion(mixed=False, width=1.5)
    model.save(tmp_path / "model.atomcore")
    atoms = mixture(["H2O", "H2O", "H2O"], seed=25, spread=4.0)
    atoms.calc = Calculator(tmp_path / "model.atomcore")
    assert_close(atoms.get_potential_energy(), model.energy_forces(atoms)[0], EXACT)
    start = atoms.get_potential_energy()
    VelocityVerlet(atoms, 0.05 * fs).run(100)
    moved = atoms.get_potential_energy() - start
    assert abs(moved) > 1e-4  # something happens
    assert abs(atoms.get_total_energy() - start) < 1e-2 * abs(moved)


def test_a_network_serves_as_a_term_in_a_file(tmp_path):
    network = Potential.load(random_model(("H", "O"), reference=(-1.0, -2.0)).write(tmp_path / "network.atomcore"))
    components = {"h2o": "OHH"}
    criterion = Criterion(measure=SUM, cutoff=5.0, width=1.0)
    terms = [
        Term(components=("h2o",), model=made_record(("h2o",))),
        Term(components=("h2o", "h2o"), model=network, criterion=criterion),
    ]
    model = ManyBody(terms, components)
    model.save(tmp_path / "model.atomcore")
    atoms = mixture(["H2O", "H2O", "H2O"], seed=26, spread=3.0)
    energy, forces = model.energy_forces(atoms)
    for other in (Potential.load(tmp_path / "model.atomcore"), ManyBody.load(tmp_path / "model.atomcore")):
        own = other.energy_forces(atoms)
        assert_close(own[0], energy, ENGINE)
        assert_close(own[1], forces, ENGINE)
    with pytest.raises(TypeError, match="the term h2o is EMT; accepted in a model file"):
        ManyBody([Term(components=("h2o",), model=EMT())], components).save(tmp_path / "other.atomcore")
    assert not (tmp_path / "other.atomcore").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["terms"][1].update(components=["h2o", "xx"]), "the component 'xx', which is not there"),
        (lambda m: m["terms"][1].update(components=["h2o"]), "of H 4, O 2 where its components are of H 2, O 1"),
        (lambda m: m["terms"][1]["criterion"].update(measure="odd"), "odd"),
        (lambda m: m["terms"][1]["criterion"].update(cutoff=-1.0), "bounds of a criterion make no sense"),
        (lambda m: m["components"][0].update(masses=[1.0]), "'masses' and 'atoms' of a component do not fit"),
        (lambda m: m["components"][0].update(masses=[1.0, 0.0, 1.0]), "must be positive numbers"),
        (lambda m: m.update(terms=[]), "'terms' is empty"),
        (lambda m: m["terms"][0].update(model={**m, "terms": []}), "a many-body expansion itself"),
        (lambda m: m.update(capability="local"), "'capability' is 'local'"),
        (lambda m: m["terms"][0]["model"].update(kind="magic"), "magic"),
    ],
)
def test_damaged_files_are_refused_in_words(change, message, tmp_path):
    expansion(mixed=False).save(tmp_path / "model.atomcore")
    metadata, tensors = model_file.read(tmp_path / "model.atomcore")
    change(metadata)
    with pytest.raises(AtomcoreError, match=message):
        model_file.write(tmp_path / "other.atomcore", tensors, metadata)


@NEEDS_SOURCES
def test_example_of_water(capsys):
    folder = shared_data("water_mp2").parent
    shared_data("mbgdml_models_500")
    spec = importlib.util.spec_from_file_location("water", REPOSITORY / "examples" / "water_many_body.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    errors = np.abs(example.main(folder, monomers=100, per_frame=20, steps=20)).mean(axis=0)
    assert errors[0] > 40  # kcal/mol, of molecules by themselves
    assert errors[1] < 12
    assert errors[2] < 2
    assert "20 steps" in capsys.readouterr().out


def test_files_of_the_same_sets_do_not_count_twice(tmp_path):
    paths = [tmp_path / "1.npz", tmp_path / "again.npz"]
    record = made_record(("h2o",))
    for path in paths:
        held = {name: getattr(record, name) for name in ModelFile.__dataclass_fields__ if hasattr(record, name)}
        write_model_file(ModelFile(**held, comp_ids=("h2o",)), path, dialect="mbgdml")
    with pytest.raises(ValueError, match=r"again\.npz, a second model of h2o; accepted: one"):
        read_many_body(paths)
    with pytest.raises(TypeError, match=r"paths is '.*1\.npz'; accepted: a sequence of paths"):
        read_many_body(paths[0])


def test_models_of_mbgdml_are_read_as_one_expansion():
    folder = shared_data("mbgdml_models_500")
    paths = [folder / f"{n}h2o.npz" for n in (1, 2, 3)]
    model = read_many_body(paths)
    assert [term.criterion for term in model.terms] == [term.criterion for term in water_models().terms]
    with np.load(shared_data("water_mp2") / "6h2o.npz") as data:
        atoms = ase.Atoms(data["Z"], data["R"][0])
    orders = model.compute(atoms, ["orders"])["orders"]
    assert_close(np.cumsum(orders) / EV, [row[0] for row in MBGDML_HEXAMERS], COEFFICIENTS)
    hard = [None, None, Criterion(measure=FARTHEST, cutoff=3.0)]
    assert read_many_body(paths, criteria=hard).terms[2].criterion == hard[2]
    with pytest.raises(ValueError, match="criteria has 1 entries for 3"):
        read_many_body(paths, criteria=[None])


def test_info_says_what_the_terms_are(tmp_path, capsys):
    expansion(mixed=False).save(tmp_path / "model.atomcore")
    main(["info", str(tmp_path / "model.atomcore")])
    printed = capsys.readouterr().out
    assert "component   h2o, in this order: O H H" in printed
    assert "term        h2o: gdml\n" in printed
    assert "term        h2o + h2o: gdml; measure centre_distance_sum, cutoff 5.5, width 1\n" in printed
