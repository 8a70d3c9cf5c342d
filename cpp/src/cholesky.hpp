// Cholesky factors of symmetric positive definite matrices: large ones in place through BLAS and LAPACK (lapack.hpp),
// full or packed, and many small ones at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "src/isa/cholesky.hpp"
#include "src/packed.hpp"

namespace atomcore::cpu {

// Called now and then with the part of the work that is done, 0 to 1; may be empty.
using Progress = std::function<void(double)>;

// Where the first element that is not finite is, or {-1, -1}.
std::pair<std::int64_t, std::int64_t> find_not_finite(const LowerMatrix& A);

// Multiply-adds of one call of LAPACK or BLAS: half a second at most, so that Ctrl-C is heard and progress shown.
constexpr double kLargestCall = 1.2e10;

// A = L L^T in place. Returns -1, or the index of the first pivot that is not positive: A is then spoilt.
std::int64_t factor(const LowerMatrix& A, const Progress& progress, double largest_call = kLargestCall);

// Rows of B [m, n] become L^-1 b, or L^-T b where `transposed`.
void solve_triangular(const LowerMatrix& L, bool transposed, double* B, std::int64_t m);

double log_determinant(const LowerMatrix& L);

// The lower triangle of (L L^T)^-1 takes the place of L, row-major [n, n]; the other one is not touched.
void invert(const LowerMatrix& L, double largest_call = kLargestCall);

// The first rows of `to` become the rows of `from`, either of them full or packed.
void copy_rows(const LowerMatrix& from, const LowerMatrix& to);
// The last m rows of `to` become those of Z [m, to.n - m] and, right of it, S [m, m].
void append_rows(const LowerMatrix& to, const double* Z, const double* S, std::int64_t m);

// What is left of the diagonal becomes what is right of it, A [n, n].
void mirror(double* A, std::int64_t n);

// L becomes the factor of L L^T + v v^T; v [n] is spoilt. n^2 operations.
void update(const LowerMatrix& L, double* v);
// The same for L L^T - v v^T. Returns -1, or the index of the first pivot that is not positive: L is then as it was.
std::int64_t downdate(const LowerMatrix& L, double* v);

// The kernels of the active instruction set, and those of all that this processor has.
template <typename T>
const SmallCholesky<T>& small_cholesky();
template <typename T>
std::vector<const SmallCholesky<T>*> small_cholesky_variants();

// Whatever of `task` is wanted for matrices A [count, n, n], n <= kMostSmall, in threads.
template <typename T>
void batched_cholesky(const SmallTask<T>& task, std::int64_t count, int n_threads);

}  // namespace atomcore::cpu
