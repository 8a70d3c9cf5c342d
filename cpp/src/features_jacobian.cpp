// The Jacobian of the features kept as one block for each edge, and its products with vectors: training on geometries
// that stay the same need not evaluate the functions again.
#include <algorithm>
#include <cmath>
#include <vector>

#include "src/feature_plan.hpp"
#include "src/feature_rows.hpp"
#include "src/interrupt.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

constexpr std::int64_t kGrain = 16;  // centres a thread must have to be worth starting

// The radii of a plan's cutoffs, ascending, and its edge classes.
template <typename T>
struct ClassTable {
  explicit ClassTable(Plan plan)
      : n_cutoffs(plan.table[2]),
        cutoffs(plan.parameters.begin(), plan.parameters.begin() + n_cutoffs),
        classes(edge_classes_of(plan.table)) {}
  std::int32_t class_of(std::int32_t species, T r) const {
    const auto level = std::upper_bound(cutoffs.begin(), cutoffs.end(), r) - cutoffs.begin();
    return species * (n_cutoffs + 1) + static_cast<std::int32_t>(level);
  }
  std::int32_t n_cutoffs;
  std::vector<T> cutoffs;
  std::vector<EdgeClass> classes;
};

// Products with stored blocks run over flat arrays of 3 n_columns numbers: the cotangent (or tangent) is repeated to
// match, so that every load is contiguous. kPhase is a whole number of xyz triples and of vector registers.
constexpr int kPhase = 48;

template <typename T>
void dot_block(const T* block, const T* g3, int n, T* out) {
  T sum[kPhase] = {};
  int i = 0;
  for (; i + kPhase <= n; i += kPhase)
    for (int l = 0; l < kPhase; ++l) sum[l] += block[i + l] * g3[i + l];
  for (int l = 0; i < n; ++i, ++l) sum[l] += block[i] * g3[i];
  for (int d = 0; d < 3; ++d) {
    T total = 0;
    for (int l = d; l < kPhase; l += 3) total += sum[l];
    out[d] = total;
  }
}

template <typename T>
void add_block(const T* block, const T* v, int n, T* sum) {
  T v3[kPhase];
  for (int l = 0; l < kPhase; ++l) v3[l] = v[l % 3];
  int i = 0;
  for (; i + kPhase <= n; i += kPhase)
    for (int l = 0; l < kPhase; ++l) sum[i + l] += block[i + l] * v3[l];
  for (int l = 0; i < n; ++i, ++l) sum[i] += block[i] * v3[l];
}

// One array of 3 n_columns numbers for each edge class, made when a row first meets the class.
template <typename T>
class ClassBuffers {
 public:
  explicit ClassBuffers(const std::vector<EdgeClass>& classes) : classes_(classes), made_(classes.size()) {
    buffers_.resize(classes.size());
  }
  void next_row() {
    for (const int c : used_) made_[static_cast<std::size_t>(c)] = false;
    used_.clear();
  }
  template <typename Make>
  T* get(int c, Make&& make) {
    const auto i = static_cast<std::size_t>(c);
    if (!made_[i]) {
      buffers_[i].assign(static_cast<std::size_t>(3 * classes_[i].n_columns), T(0));
      make(classes_[i], buffers_[i].data());
      made_[i] = true;
      used_.push_back(c);
    }
    return buffers_[i].data();
  }
  const std::vector<int>& used() const { return used_; }

 private:
  const std::vector<EdgeClass>& classes_;
  std::vector<std::vector<T>> buffers_;
  std::vector<bool> made_;
  std::vector<int> used_;
};

// Position of each requested row's first edge in the packed order of `rows`.
std::vector<std::int64_t> packed_offsets(const StoredJacobian& jacobian, span<const std::int64_t> rows) {
  std::vector<std::int64_t> first(rows.size() + 1, 0);
  for (std::size_t m = 0; m < rows.size(); ++m)
    first[m + 1] = first[m] + jacobian.row_ptr[rows[m] + 1] - jacobian.row_ptr[rows[m]];
  return first;
}

}  // namespace

template <typename T>
void edge_classes(Plan plan, const Graph& graph, span<const T> D, span<std::int32_t> edge_class,
                  span<std::int64_t> row_offset, int n_threads) {
  const ClassTable<T> table(plan);
  parallel_for(graph.n_rows(), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::int64_t size = 0;
      for (std::int64_t e = graph.row_ptr[row]; e < graph.row_ptr[row + 1]; ++e) {
        const T* d = D.data() + 3 * e;
        edge_class[e] =
            table.class_of(graph.species[graph.neighbor[e]], std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]));
        size += table.classes[static_cast<std::size_t>(edge_class[e])].n_columns;
      }
      row_offset[row + 1] = size;
    }
  });
  row_offset[0] = 0;
  for (std::size_t row = 1; row < row_offset.size(); ++row) row_offset[row] += row_offset[row - 1];
}

template <typename T>
void features_jacobian(Plan plan, const Graph& graph, span<const T> D, span<const std::int32_t> edge_class,
                       span<const std::int64_t> row_offset, span<T> values, int n_threads) {
  const std::vector<EdgeClass> classes = edge_classes_of(plan.table);
  const auto prepared = prepared_plan<T>(plan);
  Interruptible user;
  parallel_for(graph.n_rows(), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    FeatureRows<T> rows(*prepared);
    std::vector<T*> blocks;
    std::vector<const std::int32_t*> first;
    std::vector<std::int32_t> species;
    std::fill(values.data() + 3 * row_offset[begin], values.data() + 3 * row_offset[end], T(0));
    for (std::int64_t row = begin; row < end; ++row) {
      if ((row - begin) % kGrain == 0) user.check();
      blocks.clear(), first.clear(), species.clear();
      T* block = values.data() + 3 * row_offset[row];
      for (std::int64_t e = graph.row_ptr[row]; e < graph.row_ptr[row + 1]; ++e) {
        const EdgeClass& edge = classes[static_cast<std::size_t>(edge_class[e])];
        blocks.push_back(block);
        first.push_back(edge.first);
        species.push_back(graph.species[graph.neighbor[e]]);
        block += 3 * edge.n_columns;
      }
      rows.load(D.data() + 3 * graph.row_ptr[row], species.data(), species.size());
      rows.jacobian({blocks.data(), first.data()});
    }
  });
}

template <typename T>
void jacobian_vjp(Plan plan, const StoredJacobian& jacobian, span<const T> values, span<const std::int64_t> rows,
                  span<const T> g, span<T> g_D, int n_threads) {
  const std::vector<EdgeClass> classes = edge_classes_of(plan.table);
  const std::int64_t n_features = plan.table[1];
  const std::vector<std::int64_t> first = packed_offsets(jacobian, rows);
  parallel_for(static_cast<std::int64_t>(rows.size()), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    ClassBuffers<T> repeated(classes);
    for (std::int64_t m = begin; m < end; ++m) {
      const T *g_row = g.data() + m * n_features, *block = values.data() + 3 * jacobian.row_offset[rows[m]];
      T* out = g_D.data() + 3 * first[m];
      repeated.next_row();
      for (std::int64_t e = jacobian.row_ptr[rows[m]]; e < jacobian.row_ptr[rows[m] + 1]; ++e, out += 3) {
        const T* g3 = repeated.get(jacobian.edge_class[e], [&](const EdgeClass& c, T* buffer) {
          for (int i = 0; i < c.n_columns; ++i)
            for (int d = 0; d < 3; ++d) buffer[3 * i + d] = g_row[c.columns[i]];
        });
        const int n = 3 * classes[jacobian.edge_class[e]].n_columns;
        dot_block(block, g3, n, out);
        block += n;
      }
    }
  });
}

template <typename T>
void jacobian_jvp(Plan plan, const StoredJacobian& jacobian, span<const T> values, span<const std::int64_t> rows,
                  span<const T> v, span<T> dG, int n_threads) {
  const std::vector<EdgeClass> classes = edge_classes_of(plan.table);
  const std::int64_t n_features = plan.table[1];
  const std::vector<std::int64_t> first = packed_offsets(jacobian, rows);
  parallel_for(static_cast<std::int64_t>(rows.size()), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    ClassBuffers<T> sums(classes);
    for (std::int64_t m = begin; m < end; ++m) {
      const T *v_row = v.data() + 3 * first[m], *block = values.data() + 3 * jacobian.row_offset[rows[m]];
      T* out = dG.data() + m * n_features;
      sums.next_row();
      for (std::int64_t e = jacobian.row_ptr[rows[m]]; e < jacobian.row_ptr[rows[m] + 1]; ++e, v_row += 3) {
        T* sum = sums.get(jacobian.edge_class[e], [](const EdgeClass&, T*) {});
        const int n = 3 * classes[jacobian.edge_class[e]].n_columns;
        add_block(block, v_row, n, sum);
        block += n;
      }
      std::fill(out, out + n_features, T(0));
      for (const int c : sums.used()) {
        const T* sum = sums.get(c, [](const EdgeClass&, T*) {});
        for (int i = 0; i < classes[c].n_columns; ++i)
          out[classes[c].columns[i]] += sum[3 * i] + sum[3 * i + 1] + sum[3 * i + 2];
      }
    }
  });
}

#define ATOMCORE_INSTANTIATE(T)                                                                                   \
  template void edge_classes(Plan, const Graph&, span<const T>, span<std::int32_t>, span<std::int64_t>, int);     \
  template void features_jacobian(Plan, const Graph&, span<const T>, span<const std::int32_t>,                    \
                                  span<const std::int64_t>, span<T>, int);                                        \
  template void jacobian_vjp(Plan, const StoredJacobian&, span<const T>, span<const std::int64_t>, span<const T>, \
                             span<T>, int);                                                                       \
  template void jacobian_jvp(Plan, const StoredJacobian&, span<const T>, span<const std::int64_t>, span<const T>, \
                             span<T>, int);
ATOMCORE_INSTANTIATE(float)
ATOMCORE_INSTANTIATE(double)
#undef ATOMCORE_INSTANTIATE

}  // namespace atomcore::cpu
