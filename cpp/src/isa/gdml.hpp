// Covariance of the forces of one structure with those of others, compiled for each instruction set (isa.hpp).
//
// For a structure i and the permuted ones Pi_p j, with features x and their Jacobians J divided by the length of the
// Matern 5/2 kernel, d = x_i - Pi_p x_j and s = sqrt(5) |d|, gradients of the energy have the covariance
//
//   sum_p [ b_p J_i^T Pi_p J_j - a_p u_p w_p^T ],   u_p = J_i^T d,   w_p = (Pi_p J_j)^T d,
//   a = 25/3 exp(-s),   b = 5/3 (1 + s) exp(-s)
//
// Row k of J has two atoms only. So the first term is a sum over links: pairs of atoms k of i and k' of j that one
// permutation at least takes to one another, each with the sum of b over those that do.
#pragma once

#include <cstddef>
#include <cstdint>

namespace atomcore::cpu {

constexpr std::size_t kGroup = 8;  // structures j side by side: a line of doubles

// A pair of one atom of i and a pair of one atom of j: their places in C, and that of the weight.
struct GdmlLink {
  std::int32_t pair, other, weight;
};

struct GdmlView {
  std::size_t n_atoms, n_pairs, n_permutations, n_sets;
  const std::int32_t* permuted;   // [n_permutations, n_pairs]: (Pi_p x)_k is x[permuted[p, k]]
  const std::int32_t* set_begin;  // [n_sets + 1]: permutations whose b are summed, in `set_members`
  const std::int32_t* set_members;
  const std::int32_t* link_begin;  // [n_atoms^2 + 1]: the links of atom a of i and a' of j, in `links`
  const GdmlLink* links;
};

// About a structure i and a group of others. Lines hold one number for each of the group.
struct GdmlTerms {
  double* difference;  // [2, n_pairs]; work
  double* b;           // [n_permutations]
  double *u, *w;       // [n_permutations, 3 n_atoms], w times -a
  double* weights;     // [2, n_sets], sums of b, and minus them
  double* columns;     // [3, whole lines of 3 n_atoms]; work
  // With energies: of dE_i/dr with E_j, of E_i with dE_j/dr, and of E_i with E_j. Otherwise null.
  double *force_energy, *energy_force;  // [3 n_atoms]
  double* energy;                       // [1]
};

struct GdmlKernels {
  // x [n_pairs] and C [n_pairs, 3] of i; lines x [n_pairs] and C [n_pairs, 3] of the group
  void (*relate)(const GdmlView& view, const double* x, const double* C, const double* group_x, const double* group_C,
                 const GdmlTerms& terms);
  // The rows of one atom of i: row r at rows + r * (kGroup * 3 n_atoms + kGroup), structure by structure. The numbers
  // behind the last are written over.
  void (*force_rows)(const GdmlView& view, const double* C, const double* group_C, const GdmlTerms& terms,
                     std::size_t atom, double* rows);
  // n lines as row [kGroup, n], n > 2; kGroup numbers behind the last are written over. There is room for whole
  // kGroups of lines.
  void (*transpose)(const double* lines, std::size_t n, double* row);
};

#define ATOMCORE_DECLARE(isa)     \
  namespace isa {                 \
  extern const GdmlKernels kGdml; \
  }
ATOMCORE_DECLARE(portable)
ATOMCORE_DECLARE(avx2)
ATOMCORE_DECLARE(avx512)
#undef ATOMCORE_DECLARE

}  // namespace atomcore::cpu
