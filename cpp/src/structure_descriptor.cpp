#include "src/structure_descriptor.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "src/coincident.hpp"
#include "src/error.hpp"

namespace atomcore {
namespace {

constexpr int kMostSweeps = 60;  // the method of Jacobi converges quadratically: ten are many

// Makes one element of a symmetric matrix A zero by a rotation, which V takes up.
void rotate(std::vector<double>& A, std::vector<double>& V, std::size_t n, std::size_t p, std::size_t q) {
  const double off = A[p * n + q];
  if (off == 0.0) return;
  const double theta = (A[q * n + q] - A[p * n + p]) / (2.0 * off);
  const double t = std::copysign(1.0, theta) / (std::abs(theta) + std::hypot(theta, 1.0));
  const double c = 1.0 / std::hypot(t, 1.0), s = t * c;
  for (std::size_t k = 0; k < n; ++k) {
    const double a = A[k * n + p], b = A[k * n + q];
    A[k * n + p] = c * a - s * b, A[k * n + q] = s * a + c * b;
  }
  for (std::size_t k = 0; k < n; ++k) {
    const double a = A[p * n + k], b = A[q * n + k];
    A[p * n + k] = c * a - s * b, A[q * n + k] = s * a + c * b;
  }
  for (std::size_t k = 0; k < n; ++k) {
    const double a = V[k * n + p], b = V[k * n + q];
    V[k * n + p] = c * a - s * b, V[k * n + q] = s * a + c * b;
  }
}

// The method of Jacobi (Golub and Van Loan, Matrix Computations, section 8.5): A becomes diagonal, V its eigenvectors.
void diagonalize(std::vector<double>& A, std::vector<double>& V, std::size_t n) {
  V.assign(n * n, 0.0);
  for (std::size_t k = 0; k < n; ++k) V[k * n + k] = 1.0;
  double all = 0.0;
  for (const double a : A) all += a * a;
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    double off = 0.0;
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q) off += A[p * n + q] * A[p * n + q];
    if (off <= 1e-34 * all) return;
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q) rotate(A, V, n, p, q);
  }
}

}  // namespace

std::size_t feature_count(const DescriptorRecord& record) {
  const std::size_t n = record.n_atoms;
  if (record.kind == DescriptorKind::inverse_distances) return n * (n - 1) / 2;
  return record.kind == DescriptorKind::coulomb_eigenvalues ? n : n * (n + 1) / 2;
}

StructureDescriptor::StructureDescriptor(const DescriptorRecord& record, span<const std::int32_t> numbers,
                                         span<const double> positions)
    : kind_(record.kind), n_(numbers.size()), positions_(positions), order_(n_), values_(feature_count(record)) {
  fill_matrix(record, numbers);
  std::iota(order_.begin(), order_.end(), 0);
  if (kind_ == DescriptorKind::coulomb_eigenvalues) {
    fill_eigenvalues();
    return;
  }
  if (kind_ == DescriptorKind::coulomb_sorted) {
    std::vector<double> norm(n_);
    for (std::size_t i = 0; i < n_; ++i)
      for (std::size_t j = 0; j < n_; ++j) norm[i] += matrix_[i * n_ + j] * matrix_[i * n_ + j];
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t i, std::size_t j) { return norm[i] > norm[j]; });
  }
  fill_triangle(kind_ != DescriptorKind::inverse_distances);
}

void StructureDescriptor::fill_matrix(const DescriptorRecord& record, span<const std::int32_t> numbers) {
  const bool charged = kind_ != DescriptorKind::inverse_distances;
  matrix_.assign(n_ * n_, 0.0);
  for (std::size_t i = 0; i < n_; ++i) {
    const auto Z = static_cast<double>(numbers[i]);
    if (charged) matrix_[i * n_ + i] = 0.5 * std::pow(Z, record.exponent);
    for (std::size_t j = 0; j < i; ++j) {
      const double* const a = &positions_[3 * i];
      const double* const b = &positions_[3 * j];
      const double r = std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
      if (!(r >= kCoincident))
        throw Error(ErrorCode::invalid_value, "positions: atoms " + std::to_string(j) + " and " + std::to_string(i) +
                                                  " are at the same place (less than 1e-6 Angstrom apart)");
      const double factor = charged ? record.length_unit * Z * static_cast<double>(numbers[j]) : 1.0;
      matrix_[i * n_ + j] = matrix_[j * n_ + i] = factor / r;
    }
  }
}

void StructureDescriptor::fill_triangle(bool with_diagonal) {
  std::size_t k = 0;
  for (std::size_t a = 0; a < n_; ++a)
    for (std::size_t b = 0; b < a + (with_diagonal ? 1 : 0); ++b) values_[k++] = matrix_[order_[a] * n_ + order_[b]];
}

void StructureDescriptor::fill_eigenvalues() {
  std::vector<double> A = matrix_;
  diagonalize(A, eigenvectors_, n_);
  const auto value = [&](std::size_t k) { return A[k * n_ + k]; };
  std::stable_sort(order_.begin(), order_.end(), [&](std::size_t i, std::size_t j) { return value(i) < value(j); });
  std::stable_sort(order_.begin(), order_.end(),
                   [&](std::size_t i, std::size_t j) { return std::abs(value(i)) > std::abs(value(j)); });
  for (std::size_t k = 0; k < n_; ++k) values_[k] = value(order_[k]);
}

// Adds weight dC_ij to a gradient [N, 3]: dC_ij/dr_i = -C_ij (r_i - r_j) / r^2.
void StructureDescriptor::add_slope(std::size_t i, std::size_t j, double weight, double* gradient) const {
  double d[3], square = 0.0;
  for (std::size_t x = 0; x < 3; ++x) {
    d[x] = positions_[3 * i + x] - positions_[3 * j + x];
    square += d[x] * d[x];
  }
  const double factor = -weight * matrix_[i * n_ + j] / square;
  for (std::size_t x = 0; x < 3; ++x) {
    gradient[3 * i + x] += factor * d[x];
    gradient[3 * j + x] -= factor * d[x];
  }
}

// sum_k g_k dx_k = sum over pairs of w_ij dC_ij
void StructureDescriptor::adjoint(const double* g, double* gradient) const {
  std::vector<double> weight(n_ * n_);  // of pairs i > j
  if (kind_ == DescriptorKind::coulomb_eigenvalues) {
    for (std::size_t k = 0; k < n_; ++k)
      for (std::size_t i = 0; i < n_; ++i)
        for (std::size_t j = 0; j < i; ++j)
          weight[i * n_ + j] += 2.0 * g[k] * eigenvectors_[i * n_ + order_[k]] * eigenvectors_[j * n_ + order_[k]];
  } else {
    const std::size_t diagonal = kind_ == DescriptorKind::inverse_distances ? 0 : 1;
    for (std::size_t a = 0; a < n_; ++a, g += a - 1 + diagonal)
      for (std::size_t b = 0; b < a; ++b)
        weight[std::max(order_[a], order_[b]) * n_ + std::min(order_[a], order_[b])] = g[b];
  }
  std::fill_n(gradient, 3 * n_, 0.0);
  for (std::size_t i = 0; i < n_; ++i)
    for (std::size_t j = 0; j < i; ++j) add_slope(i, j, weight[i * n_ + j], gradient);
}

void StructureDescriptor::jacobian(double* J) const {
  std::fill_n(J, values_.size() * 3 * n_, 0.0);
  if (kind_ == DescriptorKind::coulomb_eigenvalues) {
    std::vector<double> unit(values_.size());
    for (std::size_t k = 0; k < n_; ++k, J += 3 * n_) {
      unit[k] = 1.0;
      adjoint(unit.data(), J);
      unit[k] = 0.0;
    }
    return;
  }
  const std::size_t diagonal = kind_ == DescriptorKind::inverse_distances ? 0 : 1;
  for (std::size_t a = 0; a < n_; ++a, J += diagonal * 3 * n_)
    for (std::size_t b = 0; b < a; ++b, J += 3 * n_) add_slope(order_[a], order_[b], 1.0, J);
}

}  // namespace atomcore
