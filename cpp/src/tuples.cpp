#include "src/tuples.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "math/cell.hpp"
#include "math/symmetry_functions.hpp"
#include "src/error.hpp"
#include "src/interrupt.hpp"
#include "src/lattice.hpp"

namespace atomcore {
namespace {

using math::Vec3;

// Bounds on centres leave this to rounding: what the criterion itself says counts.
constexpr double kSlack = 1.0 + 1e-9;

// The shortest of the images of d.
Vec3<double> nearest_image(const Lattice& lattice, Vec3<double> d) {
  double s[3];
  for (int k = 0; k < 3; ++k) {
    double fractional[3];
    math::store(d, fractional);
    s[k] = lattice.periodic[k] ? -std::nearbyint(math::dot(fractional, lattice.dual + 3 * k)) : 0.0;
  }
  d = d + math::translation(lattice.vectors, s[0], s[1], s[2]);
  Vec3<double> best = d;
  const auto reach = [&](int k) { return lattice.periodic[k] ? 1 : 0; };
  for (int a = -reach(0); a <= reach(0); ++a)
    for (int b = -reach(1); b <= reach(1); ++b)
      for (int c = -reach(2); c <= reach(2); ++c) {
        const Vec3<double> image = d + math::translation(lattice.vectors, double(a), double(b), double(c));
        if (math::dot(image, image) < math::dot(best, best)) best = image;
      }
  return best;
}

// Joins atom after atom [n, 3] to the nearest of those that are in place, beginning with the first.
void join_atoms(const Lattice& lattice, double* positions, std::size_t n, std::size_t entity) {
  double half = std::numeric_limits<double>::infinity();
  for (int k = 0; k < 3; ++k)
    if (lattice.periodic[k]) half = std::min(half, 0.5 * lattice.heights[k]);
  std::vector<Vec3<double>> bond(n);  // from the nearest atom in place
  std::vector<double> squared(n, std::numeric_limits<double>::infinity());
  std::vector<bool> placed(n, false);
  std::vector<std::size_t> anchor(n, 0);
  for (std::size_t last = 0, count = 1; count < n; ++count) {
    placed[last] = true;
    std::size_t next = n;
    for (std::size_t a = 0; a < n; ++a) {
      if (placed[a]) continue;
      const auto d = nearest_image(lattice, math::load(positions + 3 * a) - math::load(positions + 3 * last));
      if (math::dot(d, d) < squared[a]) {
        squared[a] = math::dot(d, d);
        bond[a] = d;
        anchor[a] = last;
      }
      if (next == n || squared[a] < squared[next]) next = a;
    }
    if (!(squared[next] < half * half))
      throw Error(ErrorCode::invalid_value,
                  "the atoms of entity " + std::to_string(entity) + " are " + std::to_string(std::sqrt(squared[next])) +
                      " A apart, which is half the cell or more: which of their images belong together is not certain");
    math::store(math::load(positions + 3 * anchor[next]) + bond[next], positions + 3 * next);
    last = next;
  }
}

bool above(const std::int32_t* shift) {  // lexicographically above 0
  for (int k = 0; k < 3; ++k)
    if (shift[k] != 0) return shift[k] > 0;
  return false;
}

}  // namespace

WholeEntities make_whole(span<const double> positions, const double* cell, const std::uint8_t* pbc,
                         const Entities& entities, span<const double> masses) {
  WholeEntities whole;
  const std::size_t n = entities.atom.size(), n_entities = entities.size();
  whole.positions.resize(3 * n);
  whole.centres.assign(3 * n_entities, 0.0);
  whole.total.assign(n_entities, 0.0);
  for (std::size_t k = 0; k < n; ++k)
    std::copy_n(positions.data() + 3 * entities.atom[k], 3, whole.positions.data() + 3 * k);
  const bool periodic = pbc[0] || pbc[1] || pbc[2];
  const Lattice lattice = reduce_lattice(cell, pbc);
  for (std::size_t e = 0; e < n_entities; ++e) {
    const std::size_t first = entities.first(e), size = entities.n_atoms(e);
    if (periodic) join_atoms(lattice, whole.positions.data() + 3 * first, size, e);
    for (std::size_t k = first; k < first + size; ++k) {
      whole.total[e] += masses[k];
      for (std::size_t x = 0; x < 3; ++x) whole.centres[3 * e + x] += masses[k] * whole.positions[3 * k + x];
    }
    for (std::size_t x = 0; x < 3; ++x) whole.centres[3 * e + x] /= whole.total[e];
  }
  return whole;
}

// ---- the search

double search_radius(const WholeEntities& whole, const std::uint8_t* pbc, double cutoff) {
  if (std::isfinite(cutoff)) return kSlack * cutoff;
  if (pbc[0] || pbc[1] || pbc[2])
    throw Error(
        ErrorCode::invalid_value,
        "a term of two or more entities has no cutoff, and the structure is periodic: there are infinitely many "
        "sets of entities; accepted: a criterion with a cutoff");
  double farthest = 0.0;
  for (std::size_t e = 0; e < whole.total.size(); ++e)
    farthest = std::max(farthest, math::norm(whole.centres.data() + 3 * e));
  return 2.0 * farthest + 1.0;
}

TupleSearch::TupleSearch(const WholeEntities& whole, const Entities& entities, const double* cell,
                         const std::uint8_t* pbc, double cutoff, int n_threads)
    : entities_(entities) {
  const std::int64_t n = static_cast<std::int64_t>(entities.size());
  const std::array<std::int64_t, 2> structure_ptr{0, n};
  list_ = cpu::neighbor_list(whole.centres, {cell, 9}, {pbc, 3}, {structure_ptr.data(), 2}, cutoff, n_threads);
  edges_.resize(3 * list_.neighbor.size());
  cpu::edge_vectors<double>(whole.centres, {cell, 9}, {structure_ptr.data(), 2}, list_.row_ptr, list_.neighbor,
                            list_.shift, edges_, n_threads);
}

// One search: the entities chosen so far, and what the rest may be.
struct TupleSearch::Visit {
  std::size_t n;
  double reach, perimeter;  // bounds on a distance of two centres, and on the sum of all
  std::vector<int> wanted;  // how many entities of each component are missing
  std::int64_t end;         // of the row of the first entity
  std::vector<std::int64_t> entity;
  std::vector<std::int32_t> shift;
  std::vector<Vec3<double>> place;  // of the centres, from that of the first
  const std::function<void(const EntityTuple&)>* sink;
};

void TupleSearch::find(span<const std::int32_t> components, const TupleCriterion& criterion,
                       const std::function<void(const EntityTuple&)>& sink) const {
  const std::size_t n = components.size();
  Visit visit;
  visit.n = n;
  // Centres of mass lie between atoms; and the distances between n points add up to n - 1 times those from any point at
  // the most.
  const double none = std::numeric_limits<double>::infinity();
  visit.reach = criterion.measure == TupleMeasure::none ? none : kSlack * criterion.cutoff;
  visit.perimeter =
      criterion.measure == TupleMeasure::centre_distance_sum ? static_cast<double>(n - 1) * visit.reach : none;
  std::int32_t most = 0;
  for (const std::int32_t c : components) most = std::max(most, c);
  for (const std::int32_t c : entities_.component) most = std::max(most, c);
  visit.wanted.assign(static_cast<std::size_t>(most) + 1, 0);
  for (const std::int32_t c : components) ++visit.wanted[static_cast<std::size_t>(c)];
  visit.entity.resize(n);
  visit.shift.assign(3 * n, 0);
  visit.place.resize(n);
  visit.sink = &sink;
  Interruptible user;
  for (std::size_t i = 0; i < entities_.size(); ++i) {
    user.check();
    int& wanted = visit.wanted[static_cast<std::size_t>(entities_.component[i])];
    if (wanted == 0) continue;
    visit.entity[0] = static_cast<std::int64_t>(i);
    visit.end = list_.row_ptr[i + 1];
    --wanted;
    extend(visit, 1, list_.row_ptr[i], 0.0);
    ++wanted;
  }
}

// Adds an entity at place `depth`, of those from `begin` on in the row of the first entity: rows are sorted by
// (neighbour, shift), as members are.
void TupleSearch::extend(Visit& visit, std::size_t depth, std::int64_t begin, double perimeter) const {
  if (depth == visit.n) return (*visit.sink)({visit.entity.data(), visit.shift.data()});
  for (std::int64_t p = begin; p < visit.end; ++p) {
    const auto edge = static_cast<std::size_t>(p);
    const std::int64_t j = list_.neighbor[edge];
    if (j < visit.entity[0] || (j == visit.entity[0] && !above(&list_.shift[3 * edge]))) continue;
    int& wanted = visit.wanted[static_cast<std::size_t>(entities_.component[static_cast<std::size_t>(j)])];
    if (wanted == 0) continue;
    const Vec3<double> place = math::load(&edges_[3 * edge]);
    double sum = perimeter;
    bool near = true;
    for (std::size_t k = 0; k < depth && near; ++k) {
      const Vec3<double> d = k == 0 ? place : place - visit.place[k];
      const double distance = std::sqrt(math::dot(d, d));
      sum += distance;
      near = distance < visit.reach && sum < visit.perimeter;
    }
    if (!near) continue;
    visit.entity[depth] = j;
    std::copy_n(&list_.shift[3 * edge], 3, &visit.shift[3 * depth]);
    visit.place[depth] = place;
    --wanted;
    extend(visit, depth + 1, p + 1, sum);
    ++wanted;
  }
}

// ---- the criterion

namespace {

double centre_distance_sum(const double* positions, const double* masses, span<const std::size_t> sizes,
                           double* gradient) {
  std::vector<Vec3<double>> centre(sizes.size());
  std::vector<double> mass(sizes.size());
  Vec3<double> all{0, 0, 0};
  double total = 0.0;
  std::size_t a = 0;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    Vec3<double> sum{0, 0, 0};
    for (const std::size_t end = a + sizes[k]; a < end; ++a) {
      sum = sum + masses[a] * math::load(positions + 3 * a);
      mass[k] += masses[a];
    }
    centre[k] = (1.0 / mass[k]) * sum;
    all = all + sum;
    total += mass[k];
  }
  all = (1.0 / total) * all;
  double value = 0.0;
  Vec3<double> pull{0, 0, 0};  // sum of the unit vectors
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    const Vec3<double> d = centre[k] - all;
    const double distance = std::sqrt(math::dot(d, d));
    value += distance;
    centre[k] = (distance > 0.0 ? 1.0 / distance : 0.0) * d;  // from here on the unit vector
    pull = pull + centre[k];
  }
  if (gradient == nullptr) return value;
  a = 0;
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    const Vec3<double> of_mass = (1.0 / mass[k]) * centre[k] - (1.0 / total) * pull;
    for (const std::size_t end = a + sizes[k]; a < end; ++a) math::store(masses[a] * of_mass, gradient + 3 * a);
  }
  return value;
}

double largest_atom_distance(const double* positions, std::size_t n, double* gradient) {
  double largest = 0.0;
  std::size_t from = 0, to = 0;
  for (std::size_t a = 1; a < n; ++a)
    for (std::size_t b = 0; b < a; ++b) {
      const Vec3<double> d = math::load(positions + 3 * a) - math::load(positions + 3 * b);
      if (!(math::dot(d, d) > largest)) continue;
      largest = math::dot(d, d);
      to = a;
      from = b;
    }
  const double distance = std::sqrt(largest);
  if (gradient == nullptr) return distance;
  std::fill_n(gradient, 3 * n, 0.0);
  if (distance > 0.0) {
    const Vec3<double> unit = (1.0 / distance) * (math::load(positions + 3 * to) - math::load(positions + 3 * from));
    math::store(unit, gradient + 3 * to);
    math::store(-1.0 * unit, gradient + 3 * from);
  }
  return distance;
}

}  // namespace

double tuple_measure(TupleMeasure measure, const double* positions, const double* masses, span<const std::size_t> sizes,
                     double* gradient) {
  const std::size_t n = std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  if (measure == TupleMeasure::centre_distance_sum) return centre_distance_sum(positions, masses, sizes, gradient);
  if (measure == TupleMeasure::largest_atom_distance) return largest_atom_distance(positions, n, gradient);
  if (gradient != nullptr) std::fill_n(gradient, 3 * n, 0.0);
  return 0.0;
}

TupleFactor tuple_factor(const TupleCriterion& criterion, double value) {
  if (criterion.measure == TupleMeasure::none) return {1.0, 0.0};
  if (!counts(criterion, value)) return {0.0, 0.0};
  const double width = criterion.width;
  math::Jet<double> factor{1.0, 0.0};
  const auto multiply = [&](double depth, double sign) {  // `depth` is the distance to a bound
    if (!(depth < width)) return;
    const auto core = math::symmetric_core(math::CutoffKind::poly2, 1.0 - depth / width, 0.0);
    factor = math::product(factor, math::Jet<double>{core.f, sign * core.d / width});
  };
  multiply(criterion.cutoff - value, 1.0);
  multiply(value - criterion.lower, -1.0);
  return {factor.f, factor.d};
}

void apply_criterion(const TupleCriterion& criterion, const double* positions, const double* masses,
                     span<const std::size_t> sizes, double* energy, double* gradient, std::vector<double>& work) {
  if (criterion.measure == TupleMeasure::none) return;
  const std::size_t n = 3 * std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  work.resize(n);
  const double value = tuple_measure(criterion.measure, positions, masses, sizes, work.data());
  const TupleFactor factor = tuple_factor(criterion, value);
  for (std::size_t k = 0; k < n && gradient != nullptr; ++k)
    gradient[k] = factor.f * gradient[k] + factor.d * *energy * work[k];
  *energy *= factor.f;
}

}  // namespace atomcore
