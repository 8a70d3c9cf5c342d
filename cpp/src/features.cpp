// Symmetry functions and their products with vectors: one forward and one adjoint pass over the triplets of a centre.
// On plain numbers they give features and vjp, on dual numbers jvp and hvp.
#include "src/feature_loops.hpp"
#include "src/feature_rows.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

using math::Dual;
using math::plain_t;

constexpr std::int64_t kGrain = 16;  // centres a thread must have to be worth starting

// G_row[K] of one centre.
template <typename T>
void forward_centre(const PlanView<plain_t<T>>& plan, Centre<T>& centre, std::vector<T>& cells, T* G) {
  for (const auto& group : plan.radial)
    for (std::size_t i = centre.all.first[group.species]; i < centre.all.first[group.species + 1]; ++i) {
      const T& r = centre.all.list[i].r;
      if (!(math::value(r) < group.cutoff.radius)) continue;
      const T fc = math::cutoff_value(r, group.cutoff).f;
      const auto* p = group.parameters;
      for (int f = 0; f < group.n; ++f, p += plan_layout::kRadialStride)
        G[group.columns[f]] += p[0] * (math::gaussian(r, p[1], p[2]).f * fc);
    }
  for_each_triplet<false>(
      plan, centre, [&](std::size_t) { cells.assign(centre.triplet.S.size() * centre.triplet.A.size(), T(0)); },
      [&](const Triplet<T>& t) {
        T* cell = cells.data();
        for (const T& s : t.S)
          for (const T& a : t.A) *cell++ += s * a;
      },
      [&](std::size_t i) {
        const auto& group = plan.angular[i];
        for (int c = 0; c < group.n_columns; ++c) G[group.columns[c]] += group.prefactors[c] * cells[group.cells[c]];
      });
}

// Contracts the cells' cotangents with one triplet into the four numbers dE/da, dE/db, dE/dq, dE/dcos.
template <typename T, typename U>
TripletGradient<T> contract(const Triplet<T>& t, const U* g) {
  T in_a(0), in_b(0), in_q(0), in_c(0);
  for (std::size_t s = 0; s < t.S.size(); ++s) {
    T w(0), w_c(0);
    for (std::size_t z = 0; z < t.A.size(); ++z, ++g) {
      w += *g * t.A[z];
      w_c += *g * t.A_c[z];
    }
    in_a += w * t.S_a[s];
    in_b += w * t.S_b[s];
    in_q += w * t.S_q[s];
    in_c += w_c * t.S[s];
  }
  return triplet_gradient(t, in_a, in_b, in_q, in_c);
}

// Cotangents of one centre: number m at g + m * stride.
template <typename U>
struct Cotangents {
  const U* g;
  std::size_t count, stride;
  const U* operator[](std::size_t m) const { return g + m * stride; }
};

// g_D[m * n_edges + edge of the row] of one centre from its cotangents g[m][K].
template <typename T, typename U = plain_t<T>>
void vjp_centre(const PlanView<U>& plan, Centre<T>& centre, std::vector<U>& cells, const Cotangents<U>& g,
                std::vector<Vec3<T>>& g_D) {
  const std::size_t n_edges = centre.all.list.size();
  const auto add = [&](std::size_t m, const Neighbor<T>& n, const Vec3<T>& x) {
    Vec3<T>& sum = g_D[m * n_edges + static_cast<std::size_t>(n.edge)];
    sum = sum + x;
  };
  std::vector<T> slopes;
  for (const auto& group : plan.radial)
    for (std::size_t i = centre.all.first[group.species]; i < centre.all.first[group.species + 1]; ++i) {
      const Neighbor<T>& n = centre.all.list[i];
      if (!(math::value(n.r) < group.cutoff.radius)) continue;
      const Jet<T> fc = math::cutoff_value(n.r, group.cutoff);
      const U* p = group.parameters;
      slopes.assign(g.count, T(0));
      for (int f = 0; f < group.n; ++f, p += plan_layout::kRadialStride) {
        const T d = math::product(math::gaussian(n.r, p[1], p[2]), fc).d;
        for (std::size_t m = 0; m < g.count; ++m) slopes[m] += (g[m][group.columns[f]] * p[0]) * d;
      }
      for (std::size_t m = 0; m < g.count; ++m) add(m, n, slopes[m] * n.unit);
    }
  std::size_t n_cells = 0;
  for_each_triplet<true>(
      plan, centre,
      [&](std::size_t i) {
        const auto& group = plan.angular[i];
        n_cells = centre.triplet.S.size() * centre.triplet.A.size();
        cells.assign(g.count * n_cells, U(0));
        for (std::size_t m = 0; m < g.count; ++m)
          for (int c = 0; c < group.n_columns; ++c)
            cells[m * n_cells + group.cells[c]] += group.prefactors[c] * g[m][group.columns[c]];
      },
      [&](const Triplet<T>& t) {
        for (std::size_t m = 0; m < g.count; ++m) {
          const TripletGradient<T> d = contract(t, cells.data() + m * n_cells);
          add(m, *t.j, d.j);
          add(m, *t.k, d.k);
        }
      },
      [](std::size_t) {});
}

template <typename T>
Vec3<T> plain_vector(const T* D, std::int64_t e) {
  return {D[3 * e], D[3 * e + 1], D[3 * e + 2]};
}

template <typename T>
Vec3<Dual<T>> dual_vector(const T* D, const T* v, std::int64_t e) {
  return {{D[3 * e], v[3 * e]}, {D[3 * e + 1], v[3 * e + 1]}, {D[3 * e + 2], v[3 * e + 2]}};
}

// Runs the forward pass of every centre on scalar S and hands each row to store(row, values[K]).
template <typename S, typename Vector, typename Store>
void forward_rows(Plan plan, const Graph& graph, int n_threads, const Vector& vector, const Store& store) {
  const PlanView<plain_t<S>> view(plan);
  parallel_for(graph.n_rows(), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    Centre<S> centre;
    std::vector<S> cells, G;
    for (std::int64_t row = begin; row < end; ++row) {
      centre.load(view, graph, row, vector);
      G.assign(static_cast<std::size_t>(view.n_features), S(0));
      forward_centre(view, centre, cells, G.data());
      store(row, G);
    }
  });
}

// Runs the adjoint pass of every centre on scalar S for all cotangents g[M, n_rows, K] and hands each edge to
// store(m * n_edges + edge, g_D).
template <typename S, typename Vector, typename Store>
void vjp_rows(Plan plan, const Graph& graph, span<const plain_t<S>> g, int n_threads, const Vector& vector,
              const Store& store) {
  const PlanView<plain_t<S>> view(plan);
  const auto one = static_cast<std::size_t>(graph.n_rows() * view.n_features);
  const std::size_t count = one == 0 ? 0 : g.size() / one;
  const auto n_edges = static_cast<std::int64_t>(graph.neighbor.size());
  parallel_for(graph.n_rows(), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    Centre<S> centre;
    std::vector<plain_t<S>> cells;
    std::vector<Vec3<S>> g_D;
    for (std::int64_t row = begin; row < end; ++row) {
      centre.load(view, graph, row, vector);
      const std::size_t degree = centre.all.list.size();
      g_D.assign(count * degree, {S(0), S(0), S(0)});
      vjp_centre(view, centre, cells, {g.data() + row * view.n_features, count, one}, g_D);
      for (std::size_t m = 0; m < count; ++m)
        for (std::size_t e = 0; e < degree; ++e)
          store(static_cast<std::int64_t>(m) * n_edges + graph.row_ptr[row] + static_cast<std::int64_t>(e),
                g_D[m * degree + e]);
    }
  });
}

}  // namespace

template <typename T>
void features(Plan plan, const Graph& graph, span<const T> D, span<T> G, int n_threads) {
  forward_rows<T>(
      plan, graph, n_threads, [&](std::int64_t e) { return plain_vector(D.data(), e); },
      [&](std::int64_t row, const std::vector<T>& values) {
        std::copy(values.begin(), values.end(), G.data() + row * static_cast<std::int64_t>(values.size()));
      });
}

template <typename T>
void features_jvp(Plan plan, const Graph& graph, span<const T> D, span<const T> v, span<T> dG, int n_threads) {
  forward_rows<Dual<T>>(
      plan, graph, n_threads, [&](std::int64_t e) { return dual_vector(D.data(), v.data(), e); },
      [&](std::int64_t row, const std::vector<Dual<T>>& values) {
        std::transform(values.begin(), values.end(), dG.data() + row * static_cast<std::int64_t>(values.size()),
                       [](const Dual<T>& x) { return x.d; });
      });
}

template <typename T>
void features_vjp(Plan plan, const Graph& graph, span<const T> D, span<const T> g, span<T> g_D, int n_threads) {
  vjp_rows<T>(
      plan, graph, g, n_threads, [&](std::int64_t e) { return plain_vector(D.data(), e); },
      [&](std::int64_t e, const Vec3<T>& x) { g_D[3 * e] = x.x, g_D[3 * e + 1] = x.y, g_D[3 * e + 2] = x.z; });
}

template <typename T>
void features_hvp(Plan plan, const Graph& graph, span<const T> D, span<const T> g, span<const T> v, span<T> h,
                  int n_threads) {
  vjp_rows<Dual<T>>(
      plan, graph, g, n_threads, [&](std::int64_t e) { return dual_vector(D.data(), v.data(), e); },
      [&](std::int64_t e, const Vec3<Dual<T>>& x) { h[3 * e] = x.x.d, h[3 * e + 1] = x.y.d, h[3 * e + 2] = x.z.d; });
}

template <typename T>
PreparedPlan<T>::PreparedPlan(Plan plan) : view_(std::make_unique<const PlanView<T>>(plan)) {}
template <typename T>
PreparedPlan<T>::~PreparedPlan() = default;
template <typename T>
std::int64_t PreparedPlan<T>::n_features() const {
  return view_->n_features;
}

template <typename T>
struct FeatureRows<T>::Workspace {
  const PlanView<T>& plan;
  Centre<T> centre;
  std::vector<T> cells;
  std::vector<Vec3<T>> g_D;
};

template <typename T>
FeatureRows<T>::FeatureRows(const PreparedPlan<T>& plan) : work_(new Workspace{plan.view(), {}, {}, {}}) {}
template <typename T>
FeatureRows<T>::~FeatureRows() = default;

template <typename T>
void FeatureRows<T>::load(const T* D, const std::int32_t* species, std::size_t n) {
  const std::vector<std::int64_t> row{0, static_cast<std::int64_t>(n)};
  std::vector<std::int64_t> neighbor(n);
  for (std::size_t e = 0; e < n; ++e) neighbor[e] = static_cast<std::int64_t>(e);
  work_->centre.load(work_->plan, Graph{row, neighbor, {species, n}}, 0,
                     [&](std::int64_t e) { return plain_vector(D, e); });
}

template <typename T>
void FeatureRows<T>::forward(T* G) {
  std::fill_n(G, work_->plan.n_features, T(0));
  forward_centre(work_->plan, work_->centre, work_->cells, G);
}

template <typename T>
void FeatureRows<T>::adjoint(const T* g, std::size_t count, std::size_t stride, T* g_D) {
  work_->g_D.assign(count * work_->centre.all.list.size(), {T(0), T(0), T(0)});
  vjp_centre(work_->plan, work_->centre, work_->cells, {g, count, stride}, work_->g_D);
  for (std::size_t e = 0; e < work_->g_D.size(); ++e) {
    const Vec3<T>& x = work_->g_D[e];
    g_D[3 * e] = x.x, g_D[3 * e + 1] = x.y, g_D[3 * e + 2] = x.z;
  }
}

template class PreparedPlan<float>;
template class PreparedPlan<double>;
template class FeatureRows<float>;
template class FeatureRows<double>;

#define ATOMCORE_INSTANTIATE(T)                                                               \
  template void features(Plan, const Graph&, span<const T>, span<T>, int);                    \
  template void features_jvp(Plan, const Graph&, span<const T>, span<const T>, span<T>, int); \
  template void features_vjp(Plan, const Graph&, span<const T>, span<const T>, span<T>, int); \
  template void features_hvp(Plan, const Graph&, span<const T>, span<const T>, span<const T>, span<T>, int);
ATOMCORE_INSTANTIATE(float)
ATOMCORE_INSTANTIATE(double)
#undef ATOMCORE_INSTANTIATE

}  // namespace atomcore::cpu
