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

// The part of energy_trace that one element has.
class ElementTrace {
 public:
  // W has rows `stride` apart.
  ElementTrace(const ScaledKernel& kernel, const ElementPoints& A, const ElementPoints* B, const double* W,
               std::size_t stride, bool one_scale)
      : kernel_(kernel),
        A_(A),
        B_(B == nullptr ? A : *B),
        symmetric_(B == nullptr),
        columns_(B_.points()),
        tiles_(kernel.function, kernel.n_features, kernel.scales, A.points(), symmetric_ ? nullptr : &columns_),
        W_(W),
        stride_(stride),
        one_scale_(one_scale) {}

  void add_to(TraceGradient& total, int n_threads) const {
    const std::vector<std::size_t> groups = groups_of(A_.structure);
    std::vector<TraceGradient> parts(groups.size() - 1);
    Interruptible work;
    parallel_for(static_cast<std::int64_t>(parts.size()), n_threads, 1, [&](std::int64_t g, std::int64_t end) {
      PooledArray<double> tile(kTile * kTile), weights(kTile * kTile);
      for (; g < end; ++g) {
        const auto at = static_cast<std::size_t>(g);
        parts[at].scales.assign(total.scales.size(), 0.0);
        for (std::size_t i = groups[at]; i < groups[at + 1]; i += kTile)
          for (std::size_t j = 0; j < (symmetric_ ? groups[at + 1] : columns_.n); j += kTile) {
            work.check();
            add_tile(i, std::min(kTile, groups[at + 1] - i), j, std::min(kTile, columns_.n - j), tile.data(),
                     weights.data(), parts[at]);
          }
      }
    });
    for (const TraceGradient& part : parts) add(total, part);
  }

 private:
  // Of one set with itself, both halves count where a pair of structures is in the lower one.
  double weight(std::size_t s, std::size_t t) const {
    if (!symmetric_ || s == t) return W_[s * stride_ + t];
    return s < t ? 0.0 : W_[s * stride_ + t] + W_[t * stride_ + s];
  }

  void add_tile(std::size_t i, std::size_t m, std::size_t j, std::size_t n, double* tile, double* weights,
                TraceGradient& part) const {
    const std::size_t padded = tiles_.padded(n);
    for (std::size_t r = 0; r < m; ++r)
      for (std::size_t c = 0; c < padded; ++c)
        weights[r * kTile + c] = c < n ? weight(A_.structure[i + r], B_.structure[j + c]) : 0.0;
    double total[3] = {0, 0, 0};
    tiles_.sums(i, m, j, n, tile);
    tiles_.kernels().trace(kernel_.function, m, padded, tile, weights, total);
    part.variance += total[0];
    part.shape += total[2];
    if (one_scale_)
      part.scales[0] += total[1];
    else
      for (std::size_t r = 0; r < m; ++r)
        tiles_.kernels().weighted_terms(tiles_.what(), tiles_.X().row(i + r), tiles_.Y().row(j), tile + r * kTile, n,
                                        kernel_.n_features, part.scales.data());
  }

  const ScaledKernel& kernel_;
  const ElementPoints &A_, &B_;
  bool symmetric_;
  PointRows columns_;
  KernelTiles tiles_;
  const double* W_;
  std::size_t stride_;
  bool one_scale_;
};

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

TraceGradient energy_trace(const ScaledKernel& kernel, const PointSet& A, const PointSet* B, const double* W,
                           bool one_scale, int n_threads) {
  TraceGradient total;
  total.scales.assign(one_scale ? 1 : kernel.n_features, 0.0);
  const auto of_A = element_points(A, kernel.n_features);
  const auto of_B = B == nullptr ? decltype(of_A)() : element_points(*B, kernel.n_features);
  const std::size_t stride = B == nullptr ? A.n_structures : B->n_structures;
  for (const auto& [element, points] : of_A) {
    const auto found = of_B.find(element);
    if (B == nullptr)
      ElementTrace(kernel, points, nullptr, W, stride, one_scale).add_to(total, n_threads);
    else if (found != of_B.end())
      ElementTrace(kernel, points, &found->second, W, stride, one_scale).add_to(total, n_threads);
  }
  // The sum over features changes by minus its term, or twice that, as a scale grows.
  const double power = calculus_of(kernel.function).what == PairSum::magnitudes ? -1 : -2;
  for (double& scale : total.scales) scale *= power;
  return total;
}

}  // namespace atomcore::cpu
