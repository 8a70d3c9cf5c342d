// Lower triangles of symmetric matrices in LAPACK's rectangular full packed format, TRANSR = 'N' and UPLO = 'U' in
// Fortran's terms (Gustavson et al., ACM Trans. Math. Softw. 37, 18 (2010)): n (n + 1) / 2 numbers, and all of them in
// blocks that BLAS works on.
//
// With s = n / 2 rounded down, the storage is a row-major array R of n - s rows of (n | 1) numbers:
//
//   rows i >= s:  A(i, j) at R[i - s][j]           j <= i: each row in one piece
//   rows i <  s:  A(i, j) at R[j][s + 1 + i]       j <= i: in the corner that the first ones leave, transposed
//
// For n = 5:    20 21 22 00 10       and n = 6:    30 31 32 33 00 10 20
//               30 31 32 33 11                     40 41 42 43 44 11 21
//               40 41 42 43 44                     50 51 52 53 54 55 22
//
// Who writes blocks takes those that lie on one side of row s.
#pragma once

#include <cstdint>

namespace atomcore {

struct PackedLayout {
  std::int64_t n;

  constexpr std::int64_t split() const { return n / 2; }
  constexpr std::int64_t row_length() const { return n | 1; }
  constexpr std::int64_t size() const { return row_length() * (n - split()); }

  // Element (i0 + a, j0 + b) is at offset + a * row_stride + b * column_stride; one of the strides is 1.
  struct Block {
    std::int64_t offset, row_stride, column_stride;
    constexpr bool transposed() const { return row_stride == 1 && column_stride != 1; }
  };
  // The block whose first element is (i0, j0), j0 <= i0; its last row is below split() where i0 is. Elements right of
  // the diagonal (j > i) belong to others: neither read nor write them.
  constexpr Block block(std::int64_t i0, std::int64_t j0) const {
    if (i0 >= split()) return {(i0 - split()) * row_length() + j0, row_length(), 1};
    return {j0 * row_length() + split() + 1 + i0, 1, row_length()};
  }
};

// The lower triangle of a symmetric matrix, or a lower triangular one: row-major [n, n], of which what is right of the
// diagonal is neither read nor written, or packed. Not owned.
struct LowerMatrix {
  double* data;
  std::int64_t n;
  bool packed;

  PackedLayout::Block block(std::int64_t i0, std::int64_t j0) const {
    return packed ? PackedLayout{n}.block(i0, j0) : PackedLayout::Block{i0 * n + j0, n, 1};
  }
  double& operator()(std::int64_t i, std::int64_t j) const { return data[block(i, j).offset]; }
};

}  // namespace atomcore
