// Gradient-domain machine learning (Chmiela et al., Sci. Adv. 3, e1603015 (2017); Nat. Commun. 9, 3887 (2018)): inverse
// distances, and the covariance of the forces of training structures under a Matern 5/2 kernel of them that is summed
// over permutations of like atoms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"
#include "src/isa/gdml.hpp"
#include "src/kernel_expansion.hpp"

namespace atomcore::cpu {

// x_k = 1 / |r_a - r_b| of the pairs k = (1,0), (2,0), (2,1), ... of a structure, with C_k = (r_a - r_b) / |r_a -
// r_b|^3: dx_k/dr_b = C_k for the lower of both atoms and -C_k for the higher one. With a lattice (vectors as rows)
// differences are wrapped by rounding their fractional coordinates, halves to even: sGDML's convention, which in
// strongly skewed cells is not always the shortest image.
class InverseDistances {
 public:
  // lattice [3, 3], or empty. Throws Error(invalid_value) for one without volume.
  InverseDistances(std::size_t n_atoms, span<const double> lattice);

  std::size_t n_atoms() const { return n_atoms_; }
  std::size_t n_pairs() const { return n_atoms_ * (n_atoms_ - 1) / 2; }
  // x [n_pairs] and C [n_pairs, 3] of positions [n_atoms, 3]. Throws Error(invalid_value) where two atoms are at one
  // place or a position is not finite.
  void evaluate(const double* positions, double* x, double* C) const;

 private:
  std::size_t n_atoms_;
  bool periodic_;
  double lattice_[9], inverse_[9];
};

// J u [n_pairs] of displacements u [n_atoms, 3], and J^T g [n_atoms, 3] of g [n_pairs].
void push_forward(std::size_t n_atoms, const double* C, const double* u, double* Ju);
void pull_back(std::size_t n_atoms, const double* C, const double* g, double* JTg);
// The same for a strain of space, [3, 3].
void pull_back_strain(std::size_t n_atoms, const double* C, const double* g, double* strain_gradient);

// [P, n_pairs]: (Pi_p x)_k is x[permuted[p, k]] for the structure whose atom a is number permutations[p, a] of this
// one. Throws Error(invalid_value) for rows that are no permutations.
std::vector<std::int32_t> permuted_pairs(span<const std::int64_t> permutations, std::size_t n_atoms);

// A sum of kernels that is summed over permutations of its centres.
class PermutedExpansion {
 public:
  struct Workspace {
    KernelExpansion::Workspace expansion;
    std::vector<double> points, values, gradients;
  };
  PermutedExpansion(const KernelSum& sum, std::vector<std::int32_t> permuted)
      : expansion_(sum), permuted_(std::move(permuted)) {}

  // values [n] and, unless it is null, gradients [n, n_pairs] at x [n, n_pairs]. Bitwise the same for a point whatever
  // others come with it.
  void evaluate(const double* x, std::size_t n, double* values, double* gradients, Workspace& work) const;

 private:
  KernelExpansion expansion_;
  std::vector<std::int32_t> permuted_;
};

// The covariance of all gradients dE/dr of M structures, 3 n_atoms each, and behind them of their M energies: minus the
// matrix of sGDML. (That one has labels F and -E, whose covariance this is too.)
class GdmlCovariance {
 public:
  enum class Storage {
    full,   // [n, n]
    lower,  // [n, n], of which only what is not right of the diagonal is written
    packed  // of packed.hpp
  };
  // x [M, n_pairs], C [M, n_pairs, 3], permutations [P, n_atoms]: a group, otherwise the matrix is not symmetric
  GdmlCovariance(std::size_t n_atoms, span<const double> x, span<const double> C, span<const std::int64_t> permutations,
                 double sigma);

  std::size_t n_structures() const { return n_structures_; }
  std::size_t size(bool energies) const { return n_structures_ * (3 * n_atoms_ + (energies ? 1 : 0)); }

  // What the rows of the structures [first, last) hold of the matrix; all structures have their turn for the whole.
  void fill(double* out, Storage storage, bool energies, std::size_t first, std::size_t last, int n_threads) const;
  // Some rows: out [indices, n], of ascending indices.
  void rows(span<const std::int64_t> indices, bool energies, double* out, int n_threads) const;
  // Its product with a vector [n], at the cost of as many predictions as there are structures.
  void product(const double* vector, bool energies, double* out, int n_threads) const;

 private:
  struct Row;
  class Worker;
  template <typename RowsOf>
  void assemble(span<const std::size_t> structures, bool energies, bool streamed, int n_threads,
                const RowsOf& rows_of) const;
  GdmlView view() const;
  void structure(std::size_t i, double* x, double* C) const;
  void make_links();

  std::size_t n_atoms_, n_pairs_, n_structures_;
  std::vector<std::int32_t> permuted_, set_begin_, set_members_, link_begin_;
  std::vector<GdmlLink> links_;
  Lines<double> x_, C_;  // divided by sigma; lines of kGroup structures
};

}  // namespace atomcore::cpu
