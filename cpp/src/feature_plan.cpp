#include "src/feature_plan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "math/symmetry_functions.hpp"
#include "src/error.hpp"
#include "src/feature_check.hpp"

namespace atomcore {
namespace {

using namespace plan_layout;

using Shell = std::array<double, kShellStride>;
using Angle = std::array<double, kAngleStride>;

using CutoffParameters = std::array<double, kCutoffStride>;

// The cutoff of a group: which of the radii it is, and all of its numbers.
struct GroupCutoff {
  std::int32_t level;
  CutoffParameters parameters;
  bool operator==(const GroupCutoff& o) const { return parameters == o.parameters; }
};

struct RadialGroup {
  RadialKind kind;
  std::int32_t species, weights;
  GroupCutoff cutoff;
  std::vector<std::array<double, kRadialStride>> functions;
  std::vector<std::int32_t> columns;
};

struct Cell {
  std::size_t shell, angle;
  double prefactor;
  std::int32_t column;
};

struct AngularGroup {
  FunctionType shell_type;
  AngleKind kind;
  std::int32_t a, b, weights;
  GroupCutoff cutoff;
  std::vector<Shell> shells;
  std::vector<Angle> angles;
  std::vector<Cell> cells;
};

struct Groups {
  std::vector<double> cutoffs;
  std::vector<RadialGroup> radial;
  std::vector<AngularGroup> angular;
};

AngleKind angle_kind(const FeatureRow& row) {
  if (is_compact(row)) return AngleKind::compact;
  return type_of(row) == FunctionType::ani ? AngleKind::ani : AngleKind::behler;
}

FunctionType shell_type(const FeatureRow& row) {
  if (type_of(row) == FunctionType::compact_narrow) return FunctionType::narrow;
  return type_of(row) == FunctionType::compact_wide ? FunctionType::wide : type_of(row);
}

Angle angle_parameters(const FeatureRow& row) {
  if (is_compact(row)) {
    const double half = 0.5 * (row.theta_high - row.theta_low);
    const auto kind = math::symmetric(static_cast<math::CutoffKind>(row.cutoff_function));
    return {static_cast<double>(kind), row.theta_low + half, half, 1.0 / half};
  }
  if (type_of(row) == FunctionType::ani) return {row.zeta, std::cos(row.angle), std::sin(row.angle), row.cos_scale};
  return {row.zeta, row.angle, 0.0, 1.0};
}

// The formulas leave out the factor 2 of 2^(1-zeta) (1 + x)^zeta = 2 ((1 + x)/2)^zeta; it goes into the prefactor.
constexpr double kAngularFactor = 2.0;

void add_angular(Groups& groups, const FeatureRow& row, const GroupCutoff& cutoff, std::int32_t column) {
  AngularGroup wanted{shell_type(row), angle_kind(row), row.a, row.b, row.weights, cutoff, {}, {}, {}};
  auto group = std::find_if(groups.angular.begin(), groups.angular.end(), [&](const AngularGroup& g) {
    return g.shell_type == wanted.shell_type && g.kind == wanted.kind && g.a == row.a && g.b == row.b &&
           g.weights == row.weights && g.cutoff == cutoff;
  });
  if (group == groups.angular.end()) group = groups.angular.insert(group, std::move(wanted));
  const Shell factors = is_compact(row) ? Shell{0.0, 0.0} : Shell{row.eta, row.shift};
  const std::size_t shell = position(group->shells, factors);
  const std::size_t angle = position(group->angles, angle_parameters(row));
  const double prefactor = is_compact(row) ? row.prefactor : kAngularFactor * row.prefactor;
  group->cells.push_back({shell, angle, prefactor, column});
}

void add_radial(Groups& groups, const FeatureRow& row, const GroupCutoff& cutoff, std::int32_t column) {
  const auto kind = type_of(row) == FunctionType::radial_cosine ? RadialKind::cosine : RadialKind::gaussian;
  auto group = std::find_if(groups.radial.begin(), groups.radial.end(), [&](const RadialGroup& g) {
    return g.kind == kind && g.species == row.a && g.weights == row.weights && g.cutoff == cutoff;
  });
  if (group == groups.radial.end())
    group = groups.radial.insert(group, RadialGroup{kind, row.a, row.weights, cutoff, {}, {}});
  const bool gaussian = type_of(row) == FunctionType::radial, compact = is_compact(row);
  group->functions.push_back({row.prefactor, compact ? 0.0 : row.eta, gaussian ? row.shift : 0.0});
  group->columns.push_back(column);
}

CutoffParameters cutoff_parameters(const FeatureRow& row) {
  const double low = is_compact(row) ? row.low : -row.cutoff;
  return {static_cast<double>(row.cutoff_function), low, row.cutoff, row.inner, row.gamma};
}

Groups group_rows(const std::vector<FeatureRow>& rows) {
  Groups groups;
  std::set<std::array<double, 16>> seen;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const FeatureRow& r = rows[i];
    const std::array<double, 16> function{static_cast<double>(r.type),
                                          static_cast<double>(r.a),
                                          static_cast<double>(r.b),
                                          r.eta,
                                          r.shift,
                                          r.zeta,
                                          r.angle,
                                          r.cos_scale,
                                          r.cutoff,
                                          static_cast<double>(r.cutoff_function),
                                          r.gamma,
                                          r.inner,
                                          r.low,
                                          r.theta_low,
                                          r.theta_high,
                                          static_cast<double>(r.weights)};
    if (!seen.insert(function).second)
      throw Error(ErrorCode::invalid_value, "features: row " + std::to_string(i) + " repeats an earlier function");
    groups.cutoffs.push_back(r.cutoff);
  }
  std::sort(groups.cutoffs.begin(), groups.cutoffs.end());
  groups.cutoffs.erase(std::unique(groups.cutoffs.begin(), groups.cutoffs.end()), groups.cutoffs.end());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto found = std::lower_bound(groups.cutoffs.begin(), groups.cutoffs.end(), rows[i].cutoff);
    const GroupCutoff cutoff{static_cast<std::int32_t>(found - groups.cutoffs.begin()), cutoff_parameters(rows[i])};
    const auto add = is_radial(rows[i]) ? add_radial : add_angular;
    add(groups, rows[i], cutoff, static_cast<std::int32_t>(i));
  }
  return groups;
}

// Plans grow as functions times different cutoffs times elements; without a limit, a small file could ask for all
// memory.
constexpr std::size_t kMostNumbers = std::size_t{1} << 26;

// A size or an offset as plans hold it, in 32 bits.
std::int32_t int32(std::size_t size) {
  if (size > kMostNumbers)
    throw Error(ErrorCode::invalid_value, "features: the table is too large: its compiled form would have a list of " +
                                              std::to_string(size) + " numbers; accepted: at most " +
                                              std::to_string(kMostNumbers));
  return static_cast<std::int32_t>(size);
}

// Writes the lists of a plan behind one another and hands out their offsets.
class Writer {
 public:
  explicit Writer(std::size_t record_ints) {
    plan.table.assign(static_cast<std::size_t>(int32(record_ints)), 0);  // refused before memory is asked for
  }
  template <typename List>
  std::int32_t ints(const List& list) {
    const std::int32_t offset = int32(plan.table.size());
    plan.table.insert(plan.table.end(), list.begin(), list.end());
    return offset;
  }
  template <typename List>
  std::int32_t reals(const List& list) {
    const std::int32_t offset = int32(plan.parameters.size());
    for (const auto& item : list) plan.parameters.insert(plan.parameters.end(), item.begin(), item.end());
    return offset;
  }
  void record(std::initializer_list<std::int32_t> values) {
    std::copy(values.begin(), values.end(), plan.table.begin() + static_cast<std::ptrdiff_t>(next_));
    next_ += values.size();
  }
  FeaturePlan plan;

 private:
  std::size_t next_ = 0;
};

struct ShellKey {
  FunctionType type;
  GroupCutoff cutoff;
  std::vector<Shell> shells;
  bool operator==(const ShellKey& o) const { return type == o.type && cutoff == o.cutoff && shells == o.shells; }
};

// The offset of a group's weights where the weight vectors start at `first`, or -1.
std::int32_t weights_offset(std::int32_t weights, std::int32_t first, int n_species) {
  return weights < 0 ? -1 : int32(static_cast<std::size_t>(first) + static_cast<std::size_t>(weights) * n_species);
}

void write_angular(Writer& out, const AngularGroup& group, std::size_t shell_set, std::int32_t weights) {
  std::vector<std::int32_t> columns, cells;
  std::vector<std::array<double, 1>> prefactors;
  for (const Cell& cell : group.cells) {
    columns.push_back(cell.column);
    cells.push_back(int32(cell.shell * group.angles.size() + cell.angle));
    prefactors.push_back({cell.prefactor});
  }
  const std::int32_t angles = out.reals(group.angles);
  const std::int32_t column_list = out.ints(columns);
  const std::int32_t cell_list = out.ints(cells);
  out.record({static_cast<std::int32_t>(group.kind), int32(shell_set), group.a, group.b, weights,
              int32(group.angles.size()), angles, int32(cells.size()), column_list, cell_list, out.reals(prefactors)});
}

// The columns that an edge to `species` inside the cutoffs `level` and larger can change.
void write_edge_class(Writer& out, const Groups& groups, std::int32_t species, std::int32_t level) {
  std::vector<std::int32_t> columns, first;
  const auto add = [&](bool active, const auto& list, auto column_of) {
    first.push_back(active ? int32(columns.size()) : -1);
    if (active)
      for (const auto& item : list) columns.push_back(column_of(item));
  };
  for (const RadialGroup& g : groups.radial)
    add((g.species < 0 || g.species == species) && g.cutoff.level >= level, g.columns,
        [](std::int32_t c) { return c; });
  for (const AngularGroup& g : groups.angular)
    add((g.a < 0 || g.a == species || g.b == species) && g.cutoff.level >= level, g.cells,
        [](const Cell& c) { return c.column; });
  const std::int32_t column_list = out.ints(columns);
  out.record({int32(columns.size()), column_list, out.ints(first)});
}

// FNV-1a over whole words of a plan, but for the two that hold it. One changed word always changes it.
std::uint64_t hash_of(const Plan& plan) {
  std::uint64_t hash = 14695981039346656037u;
  const auto add = [&](std::uint64_t word) { hash = (hash ^ word) * 1099511628211u; };
  for (std::size_t i = 0; i < plan.table.size(); ++i)
    if (i < kHash || i >= kHeader) add(static_cast<std::uint32_t>(plan.table[i]));
  for (const double x : plan.parameters) {
    std::uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    add(bits);
  }
  return hash;
}

// The length of the header and the records behind it.
std::size_t record_ints(const Groups& groups, std::size_t n_shell_sets, std::size_t n_classes) {
  return kHeader + groups.radial.size() * kRadialSize + n_shell_sets * kShellSize +
         groups.angular.size() * kAngularSize + n_classes * kClassSize;
}

}  // namespace

FeaturePlan compile_features(span<const FeatureRow> rows, int n_species, span<const double> weights) {
  if (n_species < 1) throw Error(ErrorCode::invalid_value, "features: elements is empty; accepted: at least one");
  if (rows.empty()) throw Error(ErrorCode::invalid_value, "features: the table is empty; accepted: at least one row");
  const std::int32_t n_features = int32(rows.size());
  const CheckedRows checked = check_rows(rows, n_species, weights);
  const Groups groups = group_rows(checked.rows);
  std::vector<ShellKey> shell_sets;
  std::vector<std::size_t> shell_set_of;
  for (const AngularGroup& g : groups.angular)
    shell_set_of.push_back(position(shell_sets, ShellKey{g.shell_type, g.cutoff, g.shells}));

  const std::int32_t levels = int32(groups.cutoffs.size() + 1);
  Writer out(
      record_ints(groups, shell_sets.size(), static_cast<std::size_t>(n_species) * static_cast<std::size_t>(levels)));
  out.plan.parameters = groups.cutoffs;
  out.record({n_species, n_features, levels - 1, int32(groups.radial.size()), int32(shell_sets.size()),
              int32(groups.angular.size()), 0, 0, 0, 0});
  const std::int32_t first = int32(out.plan.parameters.size());
  out.plan.parameters.insert(out.plan.parameters.end(), checked.weights.begin(), checked.weights.end());
  for (const RadialGroup& g : groups.radial) {
    const std::int32_t parameters = out.reals(g.functions);
    const std::int32_t cutoff = out.reals(std::vector{g.cutoff.parameters});
    out.record({static_cast<std::int32_t>(g.kind), g.species, weights_offset(g.weights, first, n_species), cutoff,
                int32(g.columns.size()), parameters, out.ints(g.columns)});
  }
  for (const ShellKey& s : shell_sets) {
    const std::int32_t cutoff = out.reals(std::vector{s.cutoff.parameters});
    out.record({static_cast<std::int32_t>(s.type), cutoff, int32(s.shells.size()), out.reals(s.shells)});
  }
  for (std::size_t i = 0; i < groups.angular.size(); ++i)
    write_angular(out, groups.angular[i], shell_set_of[i], weights_offset(groups.angular[i].weights, first, n_species));
  for (std::int32_t species = 0; species < n_species; ++species)
    for (std::int32_t level = 0; level < levels; ++level) write_edge_class(out, groups, species, level);
  out.plan.table[6] = int32(out.plan.table.size());
  out.plan.table[7] = int32(out.plan.parameters.size());
  const std::uint64_t hash = hash_of(out.plan.view());
  std::memcpy(&out.plan.table[kHash], &hash, sizeof hash);
  return std::move(out.plan);
}

void check_plan(const Plan& plan) {
  const auto length = [&](std::size_t i) { return static_cast<std::size_t>(plan.table[i]); };
  const auto refuse_plan = [] {
    throw Error(ErrorCode::invalid_value,
                "table and parameters must be those of one compiled feature set, complete and unchanged");
  };
  if (plan.table.size() < kHeader || length(6) != plan.table.size() || length(7) != plan.parameters.size())
    refuse_plan();
  std::uint64_t hash;
  std::memcpy(&hash, &plan.table[kHash], sizeof hash);
  if (hash != hash_of(plan)) refuse_plan();
}

void check_graph(const Graph& graph, int n_species) {
  const auto refuse_graph = [](const char* text) { throw Error(ErrorCode::invalid_value, text); };
  if (graph.row_ptr.empty() || graph.row_ptr[0] != 0) refuse_graph("row_ptr must start with 0");
  for (std::size_t i = 1; i < graph.row_ptr.size(); ++i)
    if (graph.row_ptr[i] < graph.row_ptr[i - 1]) refuse_graph("row_ptr must not decrease");
  const auto n_edges = static_cast<std::int64_t>(graph.neighbor.size());
  const auto n_atoms = static_cast<std::int64_t>(graph.species.size());
  if (graph.row_ptr[graph.row_ptr.size() - 1] != n_edges) refuse_graph("row_ptr must end with the length of neighbor");
  if (graph.n_rows() > n_atoms) refuse_graph("row_ptr has more rows than species has atoms");
  for (const std::int64_t j : graph.neighbor)
    if (j < 0 || j >= n_atoms) refuse_graph("neighbor must hold indices of atoms that species describes");
  for (const std::int32_t s : graph.species)
    if (s < 0 || s >= n_species) refuse_graph("species must hold indices of elements that the features know");
}

void check_stored(const Plan& plan, const cpu::StoredJacobian& jacobian, std::int64_t n_values,
                  span<const std::int64_t> rows) {
  const auto refuse_stored = [](const char* text) { throw Error(ErrorCode::invalid_value, text); };
  check_plan(plan);
  const std::vector<EdgeClass> classes = edge_classes_of(plan.table);
  const auto n_rows = static_cast<std::int64_t>(jacobian.row_ptr.size()) - 1;
  const auto n_edges = static_cast<std::int64_t>(jacobian.edge_class.size());
  if (jacobian.row_offset.size() != jacobian.row_ptr.size()) refuse_stored("row_offset must be as long as row_ptr");
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= n_rows) refuse_stored("rows must hold rows of row_ptr");
    const std::int64_t first = jacobian.row_ptr[row], last = jacobian.row_ptr[row + 1];
    if (first < 0 || first > last || last > n_edges)
      refuse_stored("row_ptr must rise from 0 to the length of edge_class");
    const std::int64_t begin = jacobian.row_offset[row], end = jacobian.row_offset[row + 1];
    if (begin < 0 || begin > end || end > n_values)
      refuse_stored("row_offset must rise from 0 to the length of values");
    std::int64_t size = 0;
    for (std::int64_t e = first; e < last; ++e) {
      const std::int32_t c = jacobian.edge_class[e];
      if (c < 0 || static_cast<std::size_t>(c) >= classes.size())
        refuse_stored("edge_class must hold classes of table");
      size += classes[static_cast<std::size_t>(c)].n_columns;
    }
    if (size != end - begin) refuse_stored("row_offset must leave each row the blocks that edge_class says");
  }
}

std::vector<EdgeClass> edge_classes_of(span<const std::int32_t> table) {
  const std::int32_t* t = table.data();
  const std::int32_t* record = t + kHeader + t[3] * kRadialSize + t[4] * kShellSize + t[5] * kAngularSize;
  std::vector<EdgeClass> classes;
  for (std::int32_t i = 0; i < t[0] * (t[2] + 1); ++i, record += kClassSize)
    classes.push_back({record[kClassCount], t + record[kClassColumns], t + record[kClassFirst]});
  return classes;
}

}  // namespace atomcore
