// A feature table compiled into two flat arrays that the CPU and CUDA kernels, torch and the model file's reader share.
//
// Functions that share species and cutoff form a group, so that exp, power and cutoff are evaluated once per pair or
// triplet and not once per function: an angular group is the outer product of its shells (eta, shift) and its angles
// (zeta, lambda or theta_s), of which the cells that the table names are kept.
#pragma once

#include <cstdint>
#include <vector>

#include "src/kernels.hpp"

namespace atomcore {

enum class FunctionType : std::int32_t { radial = 0, narrow = 1, wide = 2, ani = 3 };

// One row of a feature table; a <= b are species indices, b = -1 for radial functions. `angle` is lambda (narrow, wide)
// or theta_s in radians (ani). cutoff_function is a math::CutoffKind; gamma is that of the polynomial one. Lengths in
// Angstrom.
struct FeatureRow {
  std::int32_t type, a, b;
  double prefactor, eta, shift, zeta, angle, cos_scale, cutoff;
  std::int32_t cutoff_function = 0;
  double gamma = 4.0;
};

struct FeaturePlan {
  std::vector<std::int32_t> table;
  std::vector<double> parameters;
  Plan view() const { return {table, parameters}; }
  std::int64_t n_features() const { return table[1]; }
  double cutoff() const { return parameters[static_cast<std::size_t>(table[2]) - 1]; }
};

// Throws Error(invalid_value) naming the row and the parameter.
FeaturePlan compile_features(span<const FeatureRow> rows, int n_species);
// Throws Error(invalid_value) unless table and parameters are, to the last bit, what compile_features gave: the kernels
// follow their offsets without looking.
void check_plan(const Plan& plan);

// Throws Error(invalid_value) unless row_ptr, neighbor and species are a graph over n_species.
void check_graph(const Graph& graph, int n_species);

// Throws Error(invalid_value) unless the arrays of a stored Jacobian of n_values blocks fit together for these rows.
void check_stored(const Plan& plan, const cpu::StoredJacobian& jacobian, std::int64_t n_values,
                  span<const std::int64_t> rows);

// What the edges of one class can change (plan_layout).
struct EdgeClass {
  int n_columns;
  const std::int32_t *columns, *first;  // first: radial groups, then angular groups
};

// The edge classes of a plan's table, which must outlive them.
std::vector<EdgeClass> edge_classes_of(span<const std::int32_t> table);

// ---- how the kernels read a plan
//
// table: n_species, n_features, n_cutoffs, n_radial, n_shell_sets, n_angular, the lengths of table and parameters, a
// hash of both in two entries, then the records and lists below, each list at an offset that its record names.
// parameters: the cutoff radii in ascending order, then what the records name.
namespace plan_layout {
constexpr int kHash = 8, kHeader = 10;
// kRadialCutoff and kShellCutoff are offsets of a cutoff in the parameters.
enum Radial { kRadialSpecies, kRadialCutoff, kRadialCount, kRadialParameters, kRadialColumns, kRadialSize };
constexpr int kCutoffStride = 3;  // kind, radius, gamma
constexpr int kRadialStride = 3;  // prefactor, eta, shift
enum ShellSet { kShellType, kShellCutoff, kShellCount, kShellParameters, kShellSize };
constexpr int kShellStride = 2;  // eta, shift
enum Angular {
  kAngularShells,
  kAngularA,
  kAngularB,
  kAngularAngles,
  kAngularParameters,
  kAngularCount,
  kAngularColumns,
  kAngularCells,
  kAngularPrefactors,
  kAngularSize
};
constexpr int kAngleStride = 4;  // zeta, lambda or cos(theta_s), 0 or sin(theta_s), cos_scale
// Edge classes: class = species * (n_cutoffs + 1) + number of cutoffs <= r. A class lists the columns that such an
// edge can change, group by group; `first` is a group's position in that list, or -1.
enum EdgeClassRecord { kClassCount, kClassColumns, kClassFirst, kClassSize };
}  // namespace plan_layout

}  // namespace atomcore
