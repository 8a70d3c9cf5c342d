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

enum class FunctionType : std::int32_t {
  radial = 0,
  narrow = 1,
  wide = 2,
  ani = 3,
  radial_cosine = 4,
  compact_narrow = 5,
  compact_wide = 6,
  compact_radial = 7
};

// One row of a feature table. Lengths in Angstrom, angles in radians; numbers that a type does not have are ignored.
struct FeatureRow {
  std::int32_t type;
  std::int32_t a, b;  // species indices, a <= b; b = -1 for radial functions; a = b = -1: every element, see `weights`
  double prefactor;
  double eta;  // radial_cosine: kappa
  double shift, zeta;
  double angle;  // lambda (narrow, wide) or theta_s (ani)
  double cos_scale, cutoff;
  std::int32_t cutoff_function = 0;          // a math::CutoffKind; compact functions: that of their windows
  double gamma = 4.0;                        // of the cutoff function `polynomial`
  double inner = 0.0;                        // the part of the cutoff radius within which the cutoff function is 1
  double low = 0.0;                          // compact functions: their window in r is from here to the cutoff
  double theta_low = 0.0, theta_high = 0.0;  // compact angular functions: their window in the angle
  std::int32_t weights = -1;                 // a = -1: which of the weight vectors, -1 for weights of 1
};

struct FeatureTable {
  std::vector<FeatureRow> rows;
  std::vector<double> weights;  // [n, n_species], what rows for every element name
};

struct FeaturePlan {
  std::vector<std::int32_t> table;
  std::vector<double> parameters;
  Plan view() const { return {table, parameters}; }
  std::int64_t n_features() const { return table[1]; }
  double cutoff() const { return parameters[static_cast<std::size_t>(table[2]) - 1]; }
};

// `weights` [n, n_species] are the weight vectors that rows for every element name. A term of one neighbour counts with
// the weight of its element, one of two neighbours with the product of theirs.
// Throws Error(invalid_value) naming the row and the parameter.
FeaturePlan compile_features(span<const FeatureRow> rows, int n_species, span<const double> weights = {});
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
constexpr int kCutoffStride = 5;  // kind, low, high, inner, gamma: the arguments of math::make_cutoff
// In all records: ...Cutoff is the offset of a cutoff in the parameters, ...Parameters that of a list there. A species
// of -1 is every element, with the weights [n_species] at ...Weights in the parameters, or 1 where that is -1.
enum class RadialKind : std::int32_t { gaussian = 0, cosine = 1 };
enum Radial {
  kRadialKind,
  kRadialSpecies,
  kRadialWeights,
  kRadialCutoff,
  kRadialCount,
  kRadialParameters,
  kRadialColumns,
  kRadialSize
};
constexpr int kRadialStride = 3;  // prefactor, then eta, shift (gaussian) or kappa, 0 (cosine)
// kShellType is the FunctionType narrow, wide or ani whose shells they are; compact functions have eta = shift = 0.
enum ShellSet { kShellType, kShellCutoff, kShellCount, kShellParameters, kShellSize };
constexpr int kShellStride = 2;  // eta, shift
// An angular group keeps kAngularCount cells: column, shell * n_angles + angle, and prefactor of each. Two species, or
// -1 twice.
enum class AngleKind : std::int32_t { behler = 0, ani = 1, compact = 2 };
enum Angular {
  kAngularKind,
  kAngularShells,
  kAngularA,
  kAngularB,
  kAngularWeights,
  kAngularAngles,
  kAngularParameters,
  kAngularCount,
  kAngularColumns,
  kAngularCells,
  kAngularPrefactors,
  kAngularSize
};
// behler: zeta, lambda, 0, 1; ani: zeta, cos(theta_s), sin(theta_s), cos_scale; compact: math::CutoffKind, middle and
// half width of the window, 1 / half width. The arguments of math::..._angle.
constexpr int kAngleStride = 4;
// Edge classes: class = species * (n_cutoffs + 1) + number of cutoffs <= r. A class lists the columns that such an
// edge can change, group by group; `first` is a group's position in that list, or -1.
enum EdgeClassRecord { kClassCount, kClassColumns, kClassFirst, kClassSize };
}  // namespace plan_layout

}  // namespace atomcore
