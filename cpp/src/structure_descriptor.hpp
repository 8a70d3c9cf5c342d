// Descriptors of whole molecules: inverse distances, and the Coulomb matrix (Rupp et al., Phys. Rev. Lett. 108, 058301
// (2012)) as it is, with its rows sorted, or its eigenvalues. atomcore.features says what they are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"

namespace atomcore {

enum class DescriptorKind { inverse_distances, coulomb_raw, coulomb_sorted, coulomb_eigenvalues };
inline constexpr std::array kDescriptorNames{"inverse_distances", "coulomb_raw", "coulomb_sorted",
                                             "coulomb_eigenvalues"};

struct DescriptorRecord {
  DescriptorKind kind;
  std::size_t n_atoms;  // for which there is room
  double exponent;      // of the diagonal of a Coulomb matrix, Z^exponent / 2
  double length_unit;   // of its distances, Angstrom
};

std::size_t feature_count(const DescriptorRecord& record);

// The descriptor of one molecule, and its derivatives.
class StructureDescriptor {
 public:
  // positions [N, 3] of no more atoms than there is room for. Throws Error(invalid_value) where two are at one place.
  StructureDescriptor(const DescriptorRecord& record, span<const std::int32_t> numbers, span<const double> positions);

  const std::vector<double>& values() const { return values_; }  // [K]
  // gradient [N, 3] = J^T g of g [K]. The order of rows, and equal eigenvalues, are taken as they are.
  void adjoint(const double* g, double* gradient) const;
  void jacobian(double* J) const;  // [K, N, 3]

 private:
  void fill_matrix(const DescriptorRecord& record, span<const std::int32_t> numbers);
  void fill_triangle(bool with_diagonal);
  void fill_eigenvalues();
  void add_slope(std::size_t i, std::size_t j, double weight, double* gradient) const;

  DescriptorKind kind_;
  std::size_t n_;
  span<const double> positions_;
  std::vector<double> matrix_;        // [N, N]
  std::vector<std::size_t> order_;    // [N] of rows, or of eigenvalues
  std::vector<double> eigenvectors_;  // [N, N], as columns
  std::vector<double> values_;
};

}  // namespace atomcore
