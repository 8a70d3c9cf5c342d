// Edge vectors from positions, and back: both are linear, and each is the other's adjoint.
#include <algorithm>

#include "math/cell.hpp"
#include "src/kernels.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

constexpr std::int64_t kGrain = 512;  // rows worth a thread

// Calls body(structure, first row, last row) for the rows [begin, end), cut at the borders of structures.
template <typename Body>
void for_structures(span<const std::int64_t> structure_ptr, std::int64_t begin, std::int64_t end, const Body& body) {
  auto s = static_cast<std::size_t>(std::upper_bound(structure_ptr.begin(), structure_ptr.end(), begin) -
                                    structure_ptr.begin() - 1);
  for (; begin < end; ++s) {
    const std::int64_t last = std::min(end, structure_ptr[s + 1]);
    if (begin < last) body(s, begin, last);
    begin = std::max(begin, last);
  }
}

// Every thread owns a range of atoms and reads all edges of their structures, so that the sums of an atom run in the
// order of the edges however many threads there are.
template <typename T>
void scatter_positions(span<const T> g_D, span<const std::int64_t> structure_ptr, span<const std::int64_t> row_ptr,
                       span<const std::int64_t> neighbor, span<T> g_positions, int n_threads) {
  const auto n_rows = static_cast<std::int64_t>(row_ptr.size()) - 1;
  const auto row = [&](std::int64_t i) { return static_cast<std::size_t>(row_ptr[static_cast<std::size_t>(i)]); };
  parallel_for(n_rows, n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      T sum[3] = {0, 0, 0};
      for (std::size_t e = row(i); e < row(i + 1); ++e)
        for (std::size_t x = 0; x < 3; ++x) sum[x] += g_D[3 * e + x];
      for (std::size_t x = 0; x < 3; ++x) g_positions[3 * static_cast<std::size_t>(i) + x] = -sum[x];
    }
    for_structures(structure_ptr, begin, end, [&](std::size_t s, std::int64_t first, std::int64_t last) {
      for (std::size_t e = row(structure_ptr[s]); e < row(structure_ptr[s + 1]); ++e) {
        if (neighbor[e] < first || neighbor[e] >= last) continue;
        T* const target = &g_positions[3 * static_cast<std::size_t>(neighbor[e])];
        for (std::size_t x = 0; x < 3; ++x) target[x] += g_D[3 * e + x];
      }
    });
  });
}

// g_cells[s] = sum over the edges of the structure of shift (x) g_D, in double: block by block of rows, then the blocks
// in order. Blocks do not depend on the number of threads.
template <typename T>
void scatter_cells(span<const T> g_D, span<const std::int64_t> structure_ptr, span<const std::int64_t> row_ptr,
                   span<const std::int32_t> shift, span<T> g_cells, int n_threads) {
  constexpr std::int64_t kBlock = 256;
  struct Block {
    std::size_t structure;
    std::int64_t first, last;
    double sum[9];
  };
  std::vector<Block> blocks;
  for (std::size_t s = 0; s + 1 < structure_ptr.size(); ++s)
    for (std::int64_t first = structure_ptr[s]; first < structure_ptr[s + 1]; first += kBlock)
      blocks.push_back({s, first, std::min(first + kBlock, structure_ptr[s + 1]), {}});
  parallel_for(static_cast<std::int64_t>(blocks.size()), n_threads, 2, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      Block& block = blocks[static_cast<std::size_t>(b)];
      const auto last = static_cast<std::size_t>(row_ptr[static_cast<std::size_t>(block.last)]);
      for (auto e = static_cast<std::size_t>(row_ptr[static_cast<std::size_t>(block.first)]); e < last; ++e) {
        if ((shift[3 * e] | shift[3 * e + 1] | shift[3 * e + 2]) == 0) continue;
        for (std::size_t k = 0; k < 3; ++k)
          for (std::size_t x = 0; x < 3; ++x)
            block.sum[3 * k + x] += static_cast<double>(shift[3 * e + k]) * static_cast<double>(g_D[3 * e + x]);
      }
    }
  });
  std::vector<double> total(g_cells.size(), 0.0);
  for (const Block& block : blocks)
    for (std::size_t c = 0; c < 9; ++c) total[9 * block.structure + c] += block.sum[c];
  std::transform(total.begin(), total.end(), g_cells.begin(), [](double x) { return static_cast<T>(x); });
}

}  // namespace

template <typename T>
void edge_vectors(span<const T> positions, span<const T> cells, span<const std::int64_t> structure_ptr,
                  span<const std::int64_t> row_ptr, span<const std::int64_t> neighbor, span<const std::int32_t> shift,
                  span<T> D, int n_threads) {
  const auto n_rows = static_cast<std::int64_t>(row_ptr.size()) - 1;
  parallel_for(n_rows, n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for_structures(structure_ptr, begin, end, [&](std::size_t s, std::int64_t first, std::int64_t last) {
      for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i)
        for (auto e = static_cast<std::size_t>(row_ptr[i]); e < static_cast<std::size_t>(row_ptr[i + 1]); ++e)
          math::store(math::edge_vector(&positions[3 * i], &positions[3 * static_cast<std::size_t>(neighbor[e])],
                                        &cells[9 * s], static_cast<T>(shift[3 * e]), static_cast<T>(shift[3 * e + 1]),
                                        static_cast<T>(shift[3 * e + 2])),
                      &D[3 * e]);
    });
  });
}

template <typename T>
void edge_scatter(span<const T> g_D, span<const std::int64_t> structure_ptr, span<const std::int64_t> row_ptr,
                  span<const std::int64_t> neighbor, span<const std::int32_t> shift, span<T> g_positions,
                  span<T> g_cells, int n_threads) {
  scatter_positions(g_D, structure_ptr, row_ptr, neighbor, g_positions, n_threads);
  scatter_cells(g_D, structure_ptr, row_ptr, shift, g_cells, n_threads);
}

#define ATOMCORE_INSTANTIATE(T)                                                                                   \
  template void edge_vectors<T>(span<const T>, span<const T>, span<const std::int64_t>, span<const std::int64_t>, \
                                span<const std::int64_t>, span<const std::int32_t>, span<T>, int);                \
  template void edge_scatter<T>(span<const T>, span<const std::int64_t>, span<const std::int64_t>,                \
                                span<const std::int64_t>, span<const std::int32_t>, span<T>, span<T>, int);
ATOMCORE_INSTANTIATE(float)
ATOMCORE_INSTANTIATE(double)
#undef ATOMCORE_INSTANTIATE

}  // namespace atomcore::cpu
