#include "src/energy_covariance.hpp"

#include <map>

#include "src/covariance_parts.hpp"
#include "src/interrupt.hpp"
#include "src/kernel_matrix.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

// The rows of one element as points of their own, structure by structure.
struct ElementPoints {
  std::vector<double> x;
  std::vector<std::size_t> structure;  // of each row, rising
  PointRows points() const { return {x.data(), structure.size()}; }
};

std::map<std::int32_t, ElementPoints> element_points(const PointSet& set, std::size_t n_features) {
  std::map<std::int32_t, ElementPoints> found;
  for (std::size_t s = 0; s < set.n_structures; ++s)
    for (auto i = set.structure_ptr[s]; i < set.structure_ptr[s + 1]; ++i) {
      ElementPoints& points = found[set.elements == nullptr ? 0 : set.elements[i]];
      const double* const row = set.x + static_cast<std::size_t>(i) * n_features;
      points.x.insert(points.x.end(), row, row + n_features);
      points.structure.push_back(s);
    }
  return found;
}

// Ranges of rows of whole structures, as many as a tile holds, but one at least: each belongs to one thread.
std::vector<std::size_t> groups_of(const std::vector<std::size_t>& structure) {
  std::vector<std::size_t> starts{0};
  std::size_t first = 0;  // of the structure
  for (std::size_t i = 1; i <= structure.size(); ++i) {
    if (i < structure.size() && structure[i] == structure[i - 1]) continue;
    if (i - starts.back() > kTile && first > starts.back()) starts.push_back(first);
    first = i;
  }
  starts.push_back(structure.size());
  return starts;
}

// Adds a tile to the structures that its rows and columns belong to.
void add_tile(const double* tile, const std::size_t* rows, std::size_t m, const std::size_t* columns, std::size_t n,
              double* out, std::size_t stride) {
  for (std::size_t i = 0; i < m; ++i) {
    double* const to = out + rows[i] * stride;
    for (std::size_t j = 0; j < n;) {
      const std::size_t structure = columns[j];
      double sum = 0;
      for (; j < n && columns[j] == structure; ++j) sum += tile[i * kTile + j];
      to[structure] += sum;
    }
  }
}

void add_element(const ScaledKernel& kernel, const ElementPoints& A, const ElementPoints* B, double* out,
                 std::size_t stride, int n_threads) {
  const ElementPoints& other = B == nullptr ? A : *B;
  const PointRows rows = A.points(), columns = other.points();
  const KernelTiles tiles(kernel.function, kernel.n_features, kernel.scales, rows, B == nullptr ? nullptr : &columns);
  const std::vector<std::size_t> groups = groups_of(A.structure);
  Interruptible work;
  const auto add_group = [&](std::size_t first, std::size_t last, PooledArray<double>& tile) {
    for (std::size_t i = first; i < last; i += kTile)
      // Of one set with itself only the lower half is used, which ends with the last structure of the group.
      for (std::size_t j = 0; j < (B == nullptr ? last : columns.n); j += kTile) {
        work.check();
        const std::size_t m = std::min(kTile, last - i), n = std::min(kTile, columns.n - j);
        tiles.evaluate(i, m, j, n, tile.data());
        add_tile(tile.data(), A.structure.data() + i, m, other.structure.data() + j, n, out, stride);
      }
  };
  parallel_for(static_cast<std::int64_t>(groups.size() - 1), n_threads, 1, [&](std::int64_t g, std::int64_t end) {
    PooledArray<double> tile(kTile * kTile);
    for (; g < end; ++g) {
      const auto at = static_cast<std::size_t>(g);
      add_group(groups[at], groups[at + 1], tile);
    }
  });
}

// Whether each structure is one row, and all are of one element, so that nothing is summed.
bool single(const PointSet& set) {
  if (set.elements != nullptr) return false;
  for (std::size_t s = 0; s < set.n_structures; ++s)
    if (set.structure_ptr[s + 1] - set.structure_ptr[s] != 1) return false;
  return true;
}

}  // namespace

void energy_covariance(const ScaledKernel& kernel, const PointSet& A, const PointSet* B, double* out,
                       std::size_t stride, int n_threads) {
  if (single(A) && (B == nullptr || single(*B))) {
    const PointRows rows{A.x, A.n_rows}, columns{B == nullptr ? nullptr : B->x, B == nullptr ? 0 : B->n_rows};
    return kernel_matrix(kernel.function, kernel.n_features, kernel.scales, rows, B == nullptr ? nullptr : &columns,
                         out, stride, n_threads);
  }
  const std::size_t n_columns = B == nullptr ? A.n_structures : B->n_structures;
  for (std::size_t s = 0; s < A.n_structures; ++s) std::fill(out + s * stride, out + s * stride + n_columns, 0.0);
  const auto of_A = element_points(A, kernel.n_features);
  const auto of_B = B == nullptr ? decltype(of_A)() : element_points(*B, kernel.n_features);
  for (const auto& [element, points] : of_A) {
    const auto found = of_B.find(element);
    if (B == nullptr)
      add_element(kernel, points, nullptr, out, stride, n_threads);
    else if (found != of_B.end())
      add_element(kernel, points, &found->second, out, stride, n_threads);
  }
  if (B != nullptr) return;
  for (std::size_t s = 0; s < A.n_structures; ++s)
    for (std::size_t t = s + 1; t < A.n_structures; ++t) out[s * stride + t] = out[t * stride + s];
}

}  // namespace atomcore::cpu
