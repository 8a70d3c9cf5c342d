// Small dense products with a right-hand side that is packed once: what networks and kernel rows need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace atomcore::cpu {

// B [rows, columns] in panels of one cache line of columns: panel p holds B[k, p*width .. p*width + width) for every k,
// one line after the other, padded with zeros. Multiplying then streams through memory in order.
template <typename T>
class PackedMatrix {
 public:
  static constexpr std::int64_t width = 64 / sizeof(T);
  struct alignas(64) Line {
    T values[width];
  };

  PackedMatrix() = default;
  // B[k, j] = source[k * row_stride + j * column_stride]
  PackedMatrix(const T* source, std::int64_t rows, std::int64_t columns, std::int64_t row_stride,
               std::int64_t column_stride);

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  std::int64_t n_panels() const { return (columns_ + width - 1) / width; }
  const Line* panel(std::int64_t p) const { return lines_.data() + p * rows_; }

 private:
  std::int64_t rows_ = 0, columns_ = 0;
  std::vector<Line> lines_;
};

// Y [m, B.columns] = X [m, B.rows] B, plus bias [B.columns] on every row unless it is null. Each row of Y is the same
// sum in the same order whatever the other rows are, so results do not depend on how a batch is cut.
template <typename T>
void gemm(const T* X, std::int64_t m, const PackedMatrix<T>& B, const T* bias, T* Y);

// The same product, compiled for every instruction set that this processor has: the fastest, which gemm uses, last.
template <typename T>
using Gemm = void (*)(const T* X, std::int64_t m, const PackedMatrix<T>& B, const T* bias, T* Y);
template <typename T>
std::vector<Gemm<T>> gemm_variants();

}  // namespace atomcore::cpu
