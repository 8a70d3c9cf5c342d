// Covariances of energies alone: sums over tiles of kernel values.
#pragma once

#include "src/covariance.hpp"

namespace atomcore::cpu {

// out[structures of A, structures of B] with rows `stride` apart; B null: of A with itself, both halves.
void energy_covariance(const ScaledKernel& kernel, const PointSet& A, const PointSet* B, double* out,
                       std::size_t stride, int n_threads);

// gradient_of_trace of that matrix with weights W of the same shape.
TraceGradient energy_trace(const ScaledKernel& kernel, const PointSet& A, const PointSet* B, const double* W,
                           bool one_scale, int n_threads);

}  // namespace atomcore::cpu
