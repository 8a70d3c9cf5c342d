// Layer 1: molecules ("entities"), and the sets of n of them that interact in a many-body expansion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "atomcore/span.hpp"
#include "src/kernels.hpp"

namespace atomcore {

// Which atoms belong together: entity e has the atoms atom[ptr[e]] .. atom[ptr[e + 1]], in the order of its component.
struct Entities {
  span<const std::int64_t> ptr;        // [E + 1]
  span<const std::int64_t> atom;       // [N]
  span<const std::int32_t> component;  // [E]
  std::size_t size() const { return component.size(); }
  std::size_t first(std::size_t e) const { return static_cast<std::size_t>(ptr[e]); }
  std::size_t n_atoms(std::size_t e) const { return static_cast<std::size_t>(ptr[e + 1] - ptr[e]); }
};

// What of n entities is compared with the cutoff, in Angstrom.
enum class TupleMeasure : int {
  none = 0,                  // every set counts
  centre_distance_sum = 1,   // sum over entities of |centre of mass of the entity - centre of mass of all|
  largest_atom_distance = 2  // of any two atoms, of one entity too
};

// A set counts where lower < measure < cutoff, and by the factor 1 unless it is less than `width` away from a bound,
// where the factor falls to 0 with two continuous derivatives (poly2 of cpp/math/symmetry_functions.hpp). The bounds
// may be infinite.
struct TupleCriterion {
  TupleMeasure measure;
  double lower, cutoff, width;
};

// Molecules in one piece, each where its first atom is.
struct WholeEntities {
  std::vector<double> positions;  // [N, 3], in the order of Entities::atom
  std::vector<double> centres;    // [E, 3], of mass
  std::vector<double> total;      // [E], masses
};

// masses [N] in the order of Entities::atom, positive. Neighbouring atoms of a molecule must be less than half the cell
// apart; throws Error(invalid_value) otherwise.
WholeEntities make_whole(span<const double> positions, const double* cell, const std::uint8_t* pbc,
                         const Entities& entities, span<const double> masses);

// A few entities in images: `shift` counts lattice vectors, and is 0 for the first.
struct EntityTuple {
  const std::int64_t* entity;  // [n]
  const std::int32_t* shift;   // [n, 3]
};

// The distance of centres up to which pairs are needed where the criteria bound it by `cutoff`: where nothing does, in
// open systems, that of any two. Throws Error(invalid_value) where the sum over sets would be infinite.
double search_radius(const WholeEntities& whole, const std::uint8_t* pbc, double cutoff);

// Finds each set of entities (with their images, own images too) once, however it is moved by lattice vectors: members
// ascend by (entity, shift), and the first is in the cell.
class TupleSearch {
 public:
  // `cutoff` bounds the distances of centres in every search; see search_radius.
  TupleSearch(const WholeEntities& whole, const Entities& entities, const double* cell, const std::uint8_t* pbc,
              double cutoff, int n_threads);

  // Calls `sink` for the sets whose entities have these components (in any order) and that may fulfil the criterion: a
  // bound on the distances of centres alone tells.
  void find(span<const std::int32_t> components, const TupleCriterion& criterion,
            const std::function<void(const EntityTuple&)>& sink) const;

 private:
  struct Visit;
  void extend(Visit& visit, std::size_t depth, std::int64_t begin, double perimeter) const;

  const Entities& entities_;
  cpu::NeighborList list_;
  std::vector<double> edges_;  // [P, 3], between centres
};

// The value of the criterion's measure for n entities, and its derivative in the positions where `gradient` is not
// null. positions [n_atoms, 3] and masses [n_atoms] entity by entity, sizes [n].
double tuple_measure(TupleMeasure measure, const double* positions, const double* masses, span<const std::size_t> sizes,
                     double* gradient);

struct TupleFactor {
  double f, d;  // value, and derivative in the measure
};
TupleFactor tuple_factor(const TupleCriterion& criterion, double value);

// Whether a set with this value of the measure counts.
inline bool counts(const TupleCriterion& criterion, double value) {
  return criterion.measure == TupleMeasure::none || (value > criterion.lower && value < criterion.cutoff);
}

// Multiplies energy and gradient [n_atoms, 3] (or null) of n entities by the factor of the criterion.
void apply_criterion(const TupleCriterion& criterion, const double* positions, const double* masses,
                     span<const std::size_t> sizes, double* energy, double* gradient, std::vector<double>& work);

}  // namespace atomcore
