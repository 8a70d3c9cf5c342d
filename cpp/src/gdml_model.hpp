// A GDML model ready to run: inverse distances, the sum of Matern kernels over training points and permutations, and
// the chain rule back to positions (Chmiela et al., Nat. Commun. 9, 3887 (2018)).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/gdml.hpp"

namespace atomcore {

// As files hold it. E(r) = constant + scale * sum over training points and permutations.
struct GdmlRecord {
  std::size_t n_atoms;
  double sigma;                                 // of the Matern kernel of inverse distances, 1/A
  double scale, constant;                       // energies in eV
  std::vector<double> lattice;                  // [3, 3], vectors as rows; empty without periodicity
  std::vector<double> descriptors;              // [M, D], D = n_atoms (n_atoms - 1) / 2, pairs (1,0), (2,0), (2,1), ...
  std::vector<double> derivative_coefficients;  // [M, D], J_j alpha_j of the specification
  std::vector<double> energy_coefficients;      // [M], or empty
  std::vector<std::int64_t> permutations;       // [P, n_atoms]
};

// Immutable: any number of threads may use one, each with its own workspace.
class GdmlModel {
 public:
  struct Workspace {
    cpu::PermutedExpansion::Workspace expansion;
    std::vector<double> x, C, values, slopes;
  };
  // Throws Error(invalid_value) for arrays that do not fit together and for what is no permutation.
  explicit GdmlModel(const GdmlRecord& record);

  std::size_t n_atoms() const { return distances_.n_atoms(); }
  bool periodic() const { return periodic_; }
  // Of n geometries [n, n_atoms, 3] in Angstrom, atoms in the order of the model: energies [n] in eV and, unless they
  // are null, gradients dE/dr [n, n_atoms, 3] and strain gradients [n, 3, 3] (a periodic cell is strained along).
  // Throws Error(invalid_value) where two atoms are at one place. Bitwise the same for a geometry whatever others come
  // with it.
  void evaluate(const double* positions, std::size_t n, double* energies, double* gradients, double* strain_gradients,
                Workspace& work) const;

 private:
  cpu::InverseDistances distances_;
  cpu::PermutedExpansion expansion_;
  double scale_, constant_;
  bool periodic_;
};

}  // namespace atomcore
