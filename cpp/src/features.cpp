// Symmetry functions over whole graphs: centre by centre, each by one thread.
#include <algorithm>

#include "src/feature_rows.hpp"
#include "src/interrupt.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

constexpr std::int64_t kGrain = 16;  // centres a thread must have to be worth starting

// Calls body(rows, row) with the centre `row` loaded, for every centre of the graph.
template <typename T, typename Body>
void for_rows(Plan plan, const Graph& graph, span<const T> D, const T* v, int n_threads, const Body& body) {
  const auto prepared = prepared_plan<T>(plan);
  Interruptible user;
  parallel_for(graph.n_rows(), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    FeatureRows<T> rows(*prepared, v != nullptr);
    std::vector<std::int32_t> species;
    for (std::int64_t row = begin; row < end; ++row) {
      if ((row - begin) % kGrain == 0) user.check();
      const std::int64_t first = graph.row_ptr[row], n = graph.row_ptr[row + 1] - first;
      species.resize(static_cast<std::size_t>(n));
      for (std::int64_t e = 0; e < n; ++e)
        species[static_cast<std::size_t>(e)] = graph.species[graph.neighbor[first + e]];
      rows.load(D.data() + 3 * first, species.data(), static_cast<std::size_t>(n), v ? v + 3 * first : nullptr);
      body(rows, row);
    }
  });
}

}  // namespace

template <typename T>
void features(Plan plan, const Graph& graph, span<const T> D, span<T> G, int n_threads) {
  for_rows<T>(plan, graph, D, nullptr, n_threads,
              [&](FeatureRows<T>& rows, std::int64_t row) { rows.forward(G.data() + row * plan.table[1]); });
}

template <typename T>
void features_jvp(Plan plan, const Graph& graph, span<const T> D, span<const T> v, span<T> dG, int n_threads) {
  for_rows<T>(plan, graph, D, v.data(), n_threads,
              [&](FeatureRows<T>& rows, std::int64_t row) { rows.forward(dG.data() + row * plan.table[1]); });
}

template <typename T>
void features_vjp(Plan plan, const Graph& graph, span<const T> D, span<const T> g, span<T> g_D, int n_threads) {
  const auto one = static_cast<std::size_t>(graph.n_rows() * plan.table[1]), n_edges = graph.neighbor.size();
  const std::size_t count = one == 0 ? 0 : g.size() / one;
  for_rows<T>(plan, graph, D, nullptr, n_threads, [&](FeatureRows<T>& rows, std::int64_t row) {
    const T* const g_row = g.data() + row * plan.table[1];
    T* const out = g_D.data() + 3 * graph.row_ptr[row];
    if (count == 1) return rows.adjoint(g_row, 1, one, out);
    const auto size = static_cast<std::size_t>(3 * (graph.row_ptr[row + 1] - graph.row_ptr[row]));
    std::vector<T> all(count * size);
    rows.adjoint(g_row, count, one, all.data());
    for (std::size_t m = 0; m < count; ++m) std::copy_n(all.data() + m * size, size, out + m * 3 * n_edges);
  });
}

template <typename T>
void features_hvp(Plan plan, const Graph& graph, span<const T> D, span<const T> g, span<const T> v, span<T> h,
                  int n_threads) {
  for_rows<T>(plan, graph, D, v.data(), n_threads, [&](FeatureRows<T>& rows, std::int64_t row) {
    rows.adjoint(g.data() + row * plan.table[1], 1, 0, h.data() + 3 * graph.row_ptr[row]);
  });
}

#define ATOMCORE_INSTANTIATE(T)                                                               \
  template void features(Plan, const Graph&, span<const T>, span<T>, int);                    \
  template void features_jvp(Plan, const Graph&, span<const T>, span<const T>, span<T>, int); \
  template void features_vjp(Plan, const Graph&, span<const T>, span<const T>, span<T>, int); \
  template void features_hvp(Plan, const Graph&, span<const T>, span<const T>, span<const T>, span<T>, int);
ATOMCORE_INSTANTIATE(float)
ATOMCORE_INSTANTIATE(double)
#undef ATOMCORE_INSTANTIATE

}  // namespace atomcore::cpu
