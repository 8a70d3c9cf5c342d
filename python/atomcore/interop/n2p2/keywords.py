"""The file ``input.nn``: which keywords there are, and what they say."""

from pathlib import Path

from atomcore._core import AtomcoreError
from atomcore.interop.n2p2.text import Line, read_lines

FILE = "input.nn"
FUNCTIONS = ("symfunction_short", "symfunction")  # two names of one keyword
GENERATION = ("nnp_type", "nnp_generation", "nnp_type_gen", "nnp_gen")
NORMALIZATION = ("mean_energy", "conv_energy", "conv_length")
FLAGS = (
    "scale_symmetry_functions",
    "center_symmetry_functions",
    "scale_symmetry_functions_sigma",
    "normalize_nodes",
)
_REPEATED = (*FUNCTIONS, "atom_energy", "element_nodes_short")
_READ = {
    *_REPEATED,
    *GENERATION,
    *NORMALIZATION,
    *FLAGS,
    "number_of_elements",
    "elements",
    "cutoff_type",
    "scale_min_short",
    "scale_max_short",
    "global_hidden_layers_short",
    "global_nodes_short",
    "global_activation_short",
    "element_hidden_layers_short",
    "element_activation_short",
    "nn_type_short",  # of RuNNer: 1 is what n2p2 has
    "cutoff_alpha",  # of RuNNer: part of cutoff_type in n2p2
}

# What training, tools and printing need, of n2p2 and of RuNNer, whose folders often keep it.
_HARMLESS = {
    *("epochs", "updater_type", "parallel_mode", "jacobian_mode", "selection_mode", "decoupling_type"),
    *("memorize_symfunc_results", "random_seed", "random_number_type", "test_fraction", "normalize_data_set"),
    *("use_short_forces", "use_short_nn", "force_weight", "force_energy_ratio", "main_error_metric"),
    *("weights_min", "weights_max", "precondition_weights", "repeated_energy_update", "joint_energy_force_update"),
    *("runner_mode", "remove_atom_energies", "use_atom_energies", "bond_threshold", "energy_threshold"),
    *("force_threshold", "max_energy", "max_force", "fitmode", "fitting_unit", "mix_all_points"),
    *("points_in_memory", "nblock", "calculate_forces", "calculate_stress", "calculate_final_force"),
    *("check_forces", "check_input_forces", "data_clustering", "debug_mode", "detailed_timing"),
    *("detailed_timing_epoch", "detect_saturation", "dynamic_force_grouping", "enable_on_the_fly_input"),
    *("enforce_max_num_neighbors_atomic", "environment_analysis", "find_contradictions", "fix_weights"),
    *("force_grouping_by_structure", "force_update_scaling", "growth_mode", "initialization_only", "md_mode"),
    *("prepare_md", "random_order_training", "read_kalman_matrices", "save_kalman_matrices", "reset_kalman"),
    *("read_unformatted", "restrict_weights", "separate_bias_ini_short", "separate_kalman_short", "silent_mode"),
    *("shuffle_weights_short_atomic", "symfunction_correlation", "use_damping", "use_ipi", "use_noisematrix"),
    *("use_omp_mkl", "use_old_scaling", "use_sf_groups", "weight_analysis", "weight_constraint"),
    *("analyze_composition", "analyze_error", "use_systematic_weights_short"),
}
_HARMLESS_STARTS = (
    *("kalman_", "gradient_", "write_", "print_", "rmse_threshold", "task_batch_size_", "optmode_", "noise_"),
    *("short_energy_", "short_force_", "fixed_short_", "steepest_descent_", "update_", "use_old_weights_"),
    *("nguyen_widrow_weights_", "element_decoupled_"),
)
_REFUSED = {  # by a part of the name
    "symfunction_short": "RuNNer expands it by its own rules; accepted: one symfunction_short a function",
    "electrostatic": "charges and electrostatics are not supported",
    "charge": "charges and electrostatics are not supported",
    "elec": "charges and electrostatics are not supported",
    "ewald": "charges and electrostatics are not supported",
    "hardness": "charges and electrostatics are not supported",
    "gausswidth": "charges and electrostatics are not supported",
    "vdw": "dispersion corrections are not supported",
    "spin": "spins are not supported",
    "pair": "pair networks are not supported",
}


class InputFile:
    """The keywords of an ``input.nn`` that say what a model predicts, each with its lines.

    Raises
    ------
    OSError
        The file cannot be read.
    AtomcoreError
        A keyword is refused, unknown, or given twice.
    """

    def __init__(self, folder: Path):
        self.path = folder / FILE
        self._lines: dict[str, list[Line]] = {}
        for line in read_lines(self.path, "#!"):
            self._add(line)

    def _add(self, line: Line) -> None:
        key = line.words[0]
        if key not in _READ:
            _check_harmless(line)
        elif key in FLAGS and len(line.words) > 1:
            raise line.error(f"{key} has the value {line.words[1]!r}; accepted: no value")
        earlier = self._lines.setdefault(key, [])
        if earlier and key not in _REPEATED:
            raise line.error(f"{key} stands in line {earlier[0].number} already; accepted: once")
        earlier.append(line)

    def lines(self, *keys: str) -> list[Line]:
        """Return the lines of some keywords, in their order in the file."""
        return sorted((line for key in keys for line in self._lines.get(key, [])), key=lambda line: line.number)

    def has(self, key: str) -> bool:
        """Return whether a keyword is there."""
        return key in self._lines

    def line(self, key: str, least: int = 1, most: int | None = None) -> Line:
        """Return the line of a keyword, which must be there with at least so many values."""
        if key not in self._lines:
            raise AtomcoreError(f"{FILE} has no {key}")
        line = self._lines[key][0]
        check_count(line, least, least if most is None else most)
        return line

    def number(self, key: str, default: float) -> float:
        """Return the value of a keyword."""
        return self.line(key).float(key, 1) if self.has(key) else default


def check_count(line: Line, least: int, most: int) -> None:
    """Raise unless so many values follow the keyword."""
    given = len(line.words) - 1
    if not least <= given <= most:
        accepted = str(least) if least == most else f"{least} to {most}"
        raise line.error(f"{line.words[0]} has {given} values; accepted: {accepted}")


def _check_harmless(line: Line) -> None:
    key = line.words[0]
    if key in _HARMLESS or key.startswith(_HARMLESS_STARTS):
        return
    for part, reason in _REFUSED.items():
        if part in key:
            raise line.error(f"{key} is not supported: {reason}")
    raise line.error(
        f"the keyword {key} is unknown, and could change predictions; n2p2 would ignore it: take the line out if it may"
    )
