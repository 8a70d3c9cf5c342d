// What a potential is asked, and what it answers.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/feature_ranges.hpp"

namespace atomcore {

struct Structure {
  span<const double> positions;      // [N, 3], Angstrom
  span<const double> cell;           // [3, 3], lattice vectors as rows
  span<const std::uint8_t> pbc;      // [3]
  span<const std::int32_t> numbers;  // [N]
};

// What to compute besides energies; the spread is that of the members of an ensemble.
struct Request {
  bool derivatives = false, spread = false, extrapolation = false;
  bool grade = false;                                     // of extrapolation
  bool atomic_virials = false, member_gradients = false;  // of local models; only beside derivatives
};

struct Values {
  double energy;                          // eV
  std::vector<double> energies;           // [N], they sum to the energy; empty where atoms have none of their own
  std::vector<double> gradient;           // [N, 3], dE/dr in eV/A: minus the forces
  std::array<double, 9> strain_gradient;  // dE/dstrain in eV: the stress times the volume
};

struct Evaluation {
  Values mean;    // over the members
  Values spread;  // sample standard deviation of each number over the members
  Extrapolation extrapolation;
  std::vector<double> atomic_virials;    // [N, 9] in eV: minus D (x) dE/dD of each pair, at its neighbour
  std::vector<double> member_gradients;  // [members, N, 3], eV/A
};

// What the members of an ensemble say, number by number: the mean energies, and the spread of everything.
struct MemberValues {
  std::vector<double> energies;  // [members, N]
  // [1 + members, N, 3] and [1 + members, 9], where the first is the mean; [1, ...] where only that is known; or empty
  std::vector<double> gradients, strain_gradients;
  std::vector<double> atomic_virials;  // [N, 9] of the mean, or empty
};

// A model can overflow, far from anything it has seen: that is an Error(overflow), and never a number that spreads.
void check_finite(const Evaluation& result);

// Throws what check_finite throws.
Evaluation evaluation_of(MemberValues&& values, std::size_t members, const Request& request,
                         Extrapolation&& extrapolation);

}  // namespace atomcore
