#include "src/feature_rows.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <list>
#include <map>
#include <new>
#include <numeric>

#include "src/isa/features.hpp"

namespace atomcore::cpu {
namespace {

using namespace plan_layout;

template <typename T>
const FeatureKernels<T>& kernels_for(bool with_tangents);
template <>
const FeatureKernels<float>& kernels_for(bool with_tangents) {
  return with_tangents ? AC_PICK(features_dual_float) : AC_PICK(features_float);
}
template <>
const FeatureKernels<double>& kernels_for(bool with_tangents) {
  return with_tangents ? AC_PICK(features_dual_double) : AC_PICK(features_double);
}

// Whether two angular records have the same shells and weights, and angles of one kind.
bool same_family(const std::int32_t* a, const std::int32_t* b) {
  return a[kAngularKind] == b[kAngularKind] && a[kAngularShells] == b[kAngularShells] &&
         a[kAngularWeights] == b[kAngularWeights];
}

// Whether moments can do without the triplets of a cell: wide functions of whole exponents.
template <typename T>
bool suits_moments(FunctionType type, AngleKind kind, const T* angle) {
  return type == FunctionType::wide && kind == AngleKind::behler && angle[0] <= T(kMostDegrees) &&
         angle[0] == std::floor(angle[0]);
}

// The place of an angle in a family's list, to which it is added where it is new.
template <typename T>
std::int32_t place_of_angle(const T* angle, std::vector<T>& family) {
  std::size_t place = 0;
  while (place < family.size() && !std::equal(angle, angle + kAngleStride, family.data() + place))
    place += kAngleStride;
  if (place == family.size()) family.insert(family.end(), angle, angle + kAngleStride);
  return static_cast<std::int32_t>(place / kAngleStride);
}

}  // namespace

template <typename T>
PreparedPlan<T>::PreparedPlan(Plan plan, span<const std::int32_t> columns, std::int32_t n_features)
    : parameters_(plan.parameters.size()),
      table_(plan.table.begin(), plan.table.end()),
      columns_(columns.begin(), columns.end()) {
  std::transform(plan.parameters.begin(), plan.parameters.end(), parameters_.begin(),
                 [](double x) { return static_cast<T>(x); });
  data_.n_species = table_[0];
  data_.n_features = columns_.empty() ? table_[1] : n_features;
  read_radial();
  read_angular();
  make_monomials();
  data_.n_radial = static_cast<std::int32_t>(radial_.size());
  data_.n_families = static_cast<std::int32_t>(families_.size());
  data_.n_groups = static_cast<std::int32_t>(groups_.size());
  data_.radial = radial_.data();
  data_.families = families_.data();
  data_.groups = groups_.data();
}

// A list of n columns of the plan, as places in rows.
template <typename T>
const std::int32_t* PreparedPlan<T>::columns_at(std::int32_t offset, std::int32_t n) {
  const std::int32_t* const list = table_.data() + offset;
  if (columns_.empty()) return list;
  std::vector<std::int32_t>& places = lists_.emplace_back(list, list + n);
  for (std::int32_t& column : places) column = columns_[static_cast<std::size_t>(column)];
  return places.data();
}

template <typename T>
CutoffData<T> PreparedPlan<T>::cutoff_at(std::int32_t offset) const {
  const T* const p = parameters_.data() + offset;
  return {static_cast<std::int32_t>(p[0]), p[1], p[2], p[3], p[4]};
}

template <typename T>
void PreparedPlan<T>::read_radial() {
  const std::int32_t* record = table_.data() + kHeader;
  for (std::int32_t i = 0; i < table_[3]; ++i, record += kRadialSize) {
    radial_.push_back({record[kRadialSpecies], static_cast<RadialKind>(record[kRadialKind]),
                       weights_at(record[kRadialWeights]), cutoff_at(record[kRadialCutoff]), record[kRadialCount],
                       parameters_.data() + record[kRadialParameters],
                       columns_at(record[kRadialColumns], record[kRadialCount])});
    data_.most_radial = std::max(data_.most_radial, record[kRadialCount]);
  }
}

// Cells sorted by shell; within a shell they keep their order.
template <typename T>
GroupData<T> PreparedPlan<T>::read_group(const std::int32_t* record, std::int32_t n_shells, const std::int32_t* table,
                                         std::int32_t number, const std::vector<std::int32_t>& angles) {
  const std::int32_t n = record[kAngularCount], n_angles = record[kAngularAngles];
  const std::int32_t *cells = table + record[kAngularCells], *columns = columns_at(record[kAngularColumns], n);
  std::vector<std::int32_t> position, angle, column;
  for (std::int32_t c = 0; c < n; ++c)
    if (angles[static_cast<std::size_t>(cells[c] % n_angles)] >= 0) position.push_back(c);
  std::stable_sort(position.begin(), position.end(),
                   [&](std::int32_t i, std::int32_t j) { return cells[i] / n_angles < cells[j] / n_angles; });
  std::vector<std::int32_t> shell_first(static_cast<std::size_t>(n_shells) + 1, 0);
  std::vector<T> prefactors;
  for (const std::int32_t c : position) {
    ++shell_first[static_cast<std::size_t>(cells[c] / n_angles) + 1];
    angle.push_back(angles[static_cast<std::size_t>(cells[c] % n_angles)]);
    column.push_back(columns[c]);
    prefactors.push_back(parameters_[static_cast<std::size_t>(record[kAngularPrefactors] + c)]);
  }
  std::partial_sum(shell_first.begin(), shell_first.end(), shell_first.begin());
  const auto keep = [&](std::vector<std::int32_t>&& list) { return lists_.emplace_back(std::move(list)).data(); };
  GroupData<T> group{record[kAngularA],
                     record[kAngularB],
                     static_cast<std::int32_t>(position.size()),
                     number,
                     keep(std::move(shell_first)),
                     keep(std::move(angle)),
                     keep(std::move(column)),
                     keep(std::move(position)),
                     nullptr};
  group.prefactors = numbers_.emplace_back(std::move(prefactors)).data();
  return group;
}

template <typename T>
void PreparedPlan<T>::read_angular() {
  const std::int32_t* const shell_sets = table_.data() + kHeader + table_[3] * kRadialSize;
  const std::int32_t* const angular = shell_sets + table_[4] * kShellSize;
  const std::int32_t n = table_[5];
  for (std::int32_t first = 0; first < n; ++first) {
    const std::int32_t* const record = angular + first * kAngularSize;
    bool new_family = true;
    for (std::int32_t i = 0; i < first; ++i)
      new_family = new_family && !same_family(angular + i * kAngularSize, record);
    if (!new_family) continue;
    std::vector<std::int32_t> members;
    for (std::int32_t i = first; i < n; ++i)
      if (same_family(record, angular + i * kAngularSize)) members.push_back(i);
    const std::int32_t* const set = shell_sets + record[kAngularShells] * kShellSize;
    for (const bool by_moments : {true, false}) add_family(set, angular, members, by_moments);
  }
}

// The family of the groups `members`, of which it has the cells that suit moments, or the others.
template <typename T>
void PreparedPlan<T>::add_family(const std::int32_t* set, const std::int32_t* angular,
                                 const std::vector<std::int32_t>& members, bool by_moments) {
  const std::int32_t* const first = angular + members.front() * kAngularSize;
  FamilyData<T> family{};
  family.shell_type = static_cast<FunctionType>(set[kShellType]);
  family.angle_kind = static_cast<AngleKind>(first[kAngularKind]);
  family.cutoff = cutoff_at(set[kShellCutoff]);
  family.weights = weights_at(first[kAngularWeights]);
  family.n_shells = set[kShellCount];
  family.shells = parameters_.data() + set[kShellParameters];
  family.first_group = static_cast<std::int32_t>(groups_.size());
  std::vector<T> angles;
  for (const std::int32_t i : members) {
    const std::int32_t* const record = angular + i * kAngularSize;
    const T* const parameters = parameters_.data() + record[kAngularParameters];
    std::vector<std::int32_t> places;  // in the family's list, or -1
    for (std::int32_t z = 0; z < record[kAngularAngles]; ++z) {
      const T* const angle = parameters + z * kAngleStride;
      const bool wanted = suits_moments(family.shell_type, family.angle_kind, angle) == by_moments;
      places.push_back(wanted ? place_of_angle(angle, angles) : -1);
    }
    const GroupData<T> group = read_group(record, family.n_shells, table_.data(), i, places);
    if (group.n_cells == 0) continue;
    groups_.push_back(group);
    data_.most_cells = std::max(data_.most_cells, group.n_cells);
    ++family.n_groups;
  }
  if (family.n_groups == 0) return;
  family.n_angles = static_cast<std::int32_t>(angles.size() / kAngleStride);
  family.angles = numbers_.emplace_back(std::move(angles)).data();
  if (by_moments) add_moments(family);
  data_.most_shells = std::max(data_.most_shells, family.n_shells);
  data_.most_angles = std::max(data_.most_angles, family.n_angles);
  families_.push_back(family);
}

// Number of monomials of three variables up to a degree.
std::int32_t monomials_up_to(std::int32_t degree) { return (degree + 1) * (degree + 2) * (degree + 3) / 6; }

template <typename T>
void PreparedPlan<T>::add_moments(FamilyData<T>& family) {
  std::int32_t degree = 0;
  for (std::int32_t z = 0; z < family.n_angles; ++z)
    degree = std::max(degree, static_cast<std::int32_t>(family.angles[z * kAngleStride]));
  std::vector<T> binomials;
  for (std::int32_t z = 0; z < family.n_angles; ++z) {
    const double zeta = static_cast<double>(family.angles[z * kAngleStride]);
    const double lambda = static_cast<double>(family.angles[z * kAngleStride + 1]);
    double term = std::pow(0.5, zeta);
    for (std::int32_t p = 0; p <= degree; ++p) {
      binomials.push_back(static_cast<T>(term));
      term *= lambda * (zeta - p) / (p + 1);
    }
  }
  family.degree = degree;
  family.n_monomials = monomials_up_to(degree);
  family.binomials = numbers_.emplace_back(std::move(binomials)).data();
  data_.most_monomials = std::max(data_.most_monomials, family.n_monomials);
}

template <typename T>
void PreparedPlan<T>::make_monomials() {
  if (data_.most_monomials == 0) return;
  std::vector<std::int32_t> parent, axis, first;
  std::vector<T> multinomial;
  std::map<std::array<std::int32_t, 3>, std::int32_t> place;
  for (std::int32_t degree = 0; static_cast<std::int32_t>(place.size()) < data_.most_monomials; ++degree) {
    first.push_back(static_cast<std::int32_t>(place.size()));
    for (std::int32_t a = degree; a >= 0; --a)
      for (std::int32_t b = degree - a; b >= 0; --b) {
        const std::array<std::int32_t, 3> powers{a, b, degree - a - b};
        const std::int32_t k = powers[0] > 0 ? 0 : powers[1] > 0 ? 1 : 2;
        std::array<std::int32_t, 3> lower = powers;
        --lower[static_cast<std::size_t>(k)];
        parent.push_back(degree == 0 ? 0 : place.at(lower));
        axis.push_back(k);
        double ways = std::tgamma(degree + 1.0);
        for (const std::int32_t power : powers) ways /= std::tgamma(power + 1.0);
        multinomial.push_back(static_cast<T>(std::round(ways)));
        place.emplace(powers, static_cast<std::int32_t>(place.size()));
      }
  }
  first.push_back(static_cast<std::int32_t>(place.size()));
  const auto keep = [&](std::vector<std::int32_t>&& list) { return lists_.emplace_back(std::move(list)).data(); };
  const std::int32_t *parents = keep(std::move(parent)), *axes = keep(std::move(axis));
  data_.monomials = {parents, axes, keep(std::move(first)), numbers_.emplace_back(std::move(multinomial)).data()};
}

template <typename T>
FeatureRows<T>::FeatureRows(const PreparedPlan<T>& plan, bool with_tangents)
    : plan_(plan.data()), kernels_(kernels_for<T>(with_tangents)) {}

// The workspace keeps what was loaded when it grows: the places of what load fills do not depend on `count`.
template <typename T>
void FeatureRows<T>::reserve(std::size_t n, std::size_t count) {
  if (n <= most_neighbors_ && count <= most_cotangents_ && memory_) return;
  most_neighbors_ = std::max(n, most_neighbors_ + most_neighbors_ / 4);
  most_cotangents_ = std::max(count, most_cotangents_);
  const std::size_t size = kernels_.workspace(plan_, static_cast<std::int32_t>(most_neighbors_), most_cotangents_);
  std::unique_ptr<T, Free> grown(static_cast<T*>(::operator new(size * sizeof(T), std::align_val_t{64})));
  if (memory_) std::memcpy(grown.get(), memory_.get(), size_ * sizeof(T));
  memory_ = std::move(grown);
  size_ = size;
}

template <typename T>
void FeatureRows<T>::load(const T* D, const std::int32_t* species, std::size_t n, const T* v) {
  row_ = {D, v, species, static_cast<std::int32_t>(n)};
  reserve(n, 0);
  kernels_.load(plan_, row_, memory_.get());
}

template <typename T>
void FeatureRows<T>::forward(T* G) {
  kernels_.forward(plan_, row_, memory_.get(), G);
}

template <typename T>
void FeatureRows<T>::adjoint(const T* g, std::size_t count, std::size_t stride, T* g_D) {
  reserve(static_cast<std::size_t>(row_.n), count);
  kernels_.adjoint(plan_, row_, memory_.get(), {g, count, stride}, g_D);
}

template <typename T>
void FeatureRows<T>::jacobian(const JacobianRow<T>& out) {
  reserve(static_cast<std::size_t>(row_.n), static_cast<std::size_t>(plan_.most_cells));
  kernels_.jacobian(plan_, row_, memory_.get(), out);
}

// Plans are told apart by the hash that they carry, over all that they hold, and by their size. Each thread has its
// own, since a lock could be left behind by a fork.
template <typename T>
std::shared_ptr<const PreparedPlan<T>> prepared_plan(Plan plan) {
  using Key = std::array<std::int64_t, 3>;
  constexpr std::size_t kKept = 8;
  thread_local std::list<std::pair<Key, std::shared_ptr<const PreparedPlan<T>>>> kept;  // last used first
  Key key{0, static_cast<std::int64_t>(plan.table.size()), static_cast<std::int64_t>(plan.parameters.size())};
  std::memcpy(key.data(), &plan.table[kHash], sizeof key[0]);
  const auto found = std::find_if(kept.begin(), kept.end(), [&](const auto& item) { return item.first == key; });
  if (found == kept.end()) {
    kept.emplace_front(key, std::make_shared<const PreparedPlan<T>>(plan));
    if (kept.size() > kKept) kept.pop_back();
  } else {
    kept.splice(kept.begin(), kept, found);
  }
  return kept.front().second;
}

template class PreparedPlan<float>;
template class PreparedPlan<double>;
template class FeatureRows<float>;
template class FeatureRows<double>;
template std::shared_ptr<const PreparedPlan<float>> prepared_plan(Plan);
template std::shared_ptr<const PreparedPlan<double>> prepared_plan(Plan);

}  // namespace atomcore::cpu
