// Cholesky factors of many small matrices, one in each lane of the registers, compiled for each instruction set
// (isa.hpp).
#pragma once

#include <cstddef>
#include <cstdint>

namespace atomcore::cpu {

constexpr int kMostSmall = 64;  // rows of the largest matrix

// What is wanted of matrices A [count, n, n], of which the lower triangles are read. L may be A.
template <typename T>
struct SmallTask {
  const T* A;
  int n;
  T* L;                  // [count, n, n] with zeros right of the diagonal, or null
  const T* y;            // [count, n, m], or null
  T* x;                  // A^-1 y [count, n, m], where y is given; may be y
  int m;                 // right-hand sides a matrix
  T* log_determinant;    // [count], or null
  std::int32_t* status;  // [count]: 0, or 1 + the index of the first pivot that is not positive and finite
};

// Results of a matrix that fails are NaN; it does not touch those of others, and no result depends on what else is in
// the batch.
template <typename T>
struct SmallCholesky {
  std::int64_t width;  // matrices worked on together
  // Matrices begin .. end - 1; `workspace` has workspace_size(n) numbers and lies on a line of 64 bytes. With
  // `past_caches` L is written around the caches.
  void (*run)(const SmallTask<T>& task, std::int64_t begin, std::int64_t end, bool past_caches, T* workspace);
  std::size_t (*workspace_size)(int n);
};

#define ATOMCORE_DECLARE(isa)                               \
  namespace isa {                                           \
  extern const SmallCholesky<float> kSmallCholeskyFloat32;  \
  extern const SmallCholesky<double> kSmallCholeskyFloat64; \
  }
ATOMCORE_DECLARE(portable)
ATOMCORE_DECLARE(avx2)
ATOMCORE_DECLARE(avx512)
#undef ATOMCORE_DECLARE

}  // namespace atomcore::cpu
