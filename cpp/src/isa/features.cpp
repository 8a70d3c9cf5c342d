// Symmetry functions of one centre and their products with vectors. On packs of numbers the forward pass gives features
// and the adjoint pass J^T g; on packs of dual numbers they give J v and d/dD (g^T J v).
#include "src/isa/features.hpp"

#include "src/isa/triplets.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace rows {

// Everything that a workspace holds, at places that follow from plan, row and number of cotangents alone.
template <typename S>
struct Workspace {
  using U = plain_t<S>;
  Neighbors<S> row;
  Within<S> within;
  Triplets<S> triplets;
  Quad<S>* D;
  Gradient<S>* gradients;
  std::size_t used;

  Workspace(const PlanData<U>& plan, std::int32_t n, std::size_t count, U* memory) {
    Arena<U> arena{memory, 0};
    const auto size = static_cast<std::size_t>(n);
    take_neighbors(arena, n, plan.n_species, row);
    take_neighbors(arena, n, plan.n_species, within);
    take_column(arena, size, within.f);
    take_column(arena, size, within.d);
    take_triplets(arena, plan, triplets);
    const auto take_quads = [&] {
      return reinterpret_cast<Quad<S>*>(arena.take(size * (sizeof(Quad<S>) / sizeof(U))));
    };
    D = take_quads();
    gradients = reinterpret_cast<Gradient<S>*>(arena.take(count * (sizeof(Gradient<S>) / sizeof(U) + 1)));
    for (std::size_t m = 0; m < count; ++m) {
      Gradient<S> gradient;
      take_column(arena, size, gradient.along);
      gradient.across = take_quads();
      if (gradients) gradients[m] = gradient;
    }
    used = arena.used;
  }
};

template <typename S>
std::size_t workspace(const PlanData<plain_t<S>>& plan, std::int32_t n, std::size_t count) {
  return Workspace<S>(plan, n, count, nullptr).used;
}

template <typename S>
void load(const PlanData<plain_t<S>>& plan, const RowInput<plain_t<S>>& row, plain_t<S>* memory) {
  Workspace<S> work(plan, row.n, 0, memory);
  load_neighbors(row, plan.n_species, work.row);
}

// The value that a pass hands out: features, or their tangents where there are any.
template <typename T>
inline T result(T x) {
  return x;
}
template <typename T>
inline T result(const Dual<T>& x) {
  return x.d;
}

template <ShellKind kShell, typename S>
void forward_family(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, Workspace<S>& work,
                    plain_t<S>* G) {
  using U = plain_t<S>;
  Triplets<S>& t = work.triplets;
  list_triplets<kShell, false>(plan, family, work.within, t, [&] {
    evaluate<kShell, false>(family, t);
    sum_segments(plan, family, t, [&](const GroupData<U>& group, const Column<S>& sums) {
      for (std::int32_t c = 0; c < group.n_cells; ++c)
        G[group.columns[c]] += group.prefactors[c] * result(lane_sum(sums.load(c * kWidth<S>)));
    });
  });
}

template <typename S>
void forward(const PlanData<plain_t<S>>& plan, const RowInput<plain_t<S>>& row, plain_t<S>* memory, plain_t<S>* G) {
  using U = plain_t<S>;
  Workspace<S> work(plan, row.n, 0, memory);
  for (std::int32_t c = 0; c < plan.n_features; ++c) G[c] = U(0);
  radial_forward(plan, work.row, work.triplets.sums,
                 [&](std::int32_t column, const lane_t<S>& x) { G[column] += result(x); });
  for (std::int32_t f = 0; f < plan.n_families; ++f) {
    const FamilyData<U>& family = plan.families[f];
    select_within(plan, family, work.row, work.within);
    if (family.shell_kind == ShellKind::narrow)
      forward_family<ShellKind::narrow>(plan, family, work, G);
    else if (family.shell_kind == ShellKind::wide)
      forward_family<ShellKind::wide>(plan, family, work, G);
    else
      forward_family<ShellKind::ani>(plan, family, work, G);
  }
}

template <ShellKind kShell, typename S>
void adjoint_family(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, Workspace<S>& work,
                    const CotangentData<plain_t<S>>& g) {
  Triplets<S>& t = work.triplets;
  list_triplets<kShell, true>(plan, family, work.within, t, [&] {
    evaluate<kShell, true>(family, t);
    for (std::size_t m = 0; m < g.count; ++m) {
      for (std::int32_t n = 0; n < t.n_segments; ++n)
        contract_segment(family, plan.groups[t.segments[n].group], t.segments[n], g.g + m * g.stride, t);
      for (std::int32_t n = 0; n < t.n_runs; ++n)
        drain_run<kShell>(t.runs[n], work.within, work.D, work.gradients[m], t);
    }
  });
}

template <typename T>
inline Quad<Pack<T>> quad_of(const Neighbors<Pack<T>>& row, std::int32_t i) {
  return {{row.x.v[i], row.y.v[i], row.z.v[i], T(0)}};
}
template <typename T>
inline Quad<Dual<Pack<T>>> quad_of(const Neighbors<Dual<Pack<T>>>& row, std::int32_t i) {
  return {{row.x.v[i], row.y.v[i], row.z.v[i], T(0)}, {row.x.d[i], row.y.d[i], row.z.d[i], T(0)}};
}

template <typename S>
void start_gradients(std::int32_t n, std::size_t count, Workspace<S>& work) {
  for (std::int32_t i = 0; i < n; ++i) work.D[i] = quad_of(work.row, i);
  for (std::size_t m = 0; m < count; ++m) {
    for (std::int32_t i = 0; i < n; i += kWidth<S>) work.gradients[m].along.store(i, S(plain_t<S>(0)));
    for (std::int32_t i = 0; i < n; ++i) work.gradients[m].across[i] = Quad<S>::zero();
  }
}

// dE/dD = along * D + across, in the order in which the row was handed in.
template <typename T>
inline void store_gradient(const Quad<Pack<T>>& x, T* to) {
  for (int k = 0; k < 3; ++k) to[k] = x.v[k];
}
template <typename T>
inline void store_gradient(const Quad<Dual<Pack<T>>>& x, T* to) {
  for (int k = 0; k < 3; ++k) to[k] = x.d[k];
}

template <typename S>
void adjoint(const PlanData<plain_t<S>>& plan, const RowInput<plain_t<S>>& row, plain_t<S>* memory,
             const CotangentData<plain_t<S>>& g, plain_t<S>* g_D) {
  using U = plain_t<S>;
  Workspace<S> work(plan, row.n, g.count, memory);
  start_gradients(row.n, g.count, work);
  radial_adjoint(plan, work.row, g, work.gradients);
  for (std::int32_t f = 0; f < plan.n_families; ++f) {
    const FamilyData<U>& family = plan.families[f];
    select_within(plan, family, work.row, work.within);
    if (family.shell_kind == ShellKind::narrow)
      adjoint_family<ShellKind::narrow>(plan, family, work, g);
    else if (family.shell_kind == ShellKind::wide)
      adjoint_family<ShellKind::wide>(plan, family, work, g);
    else
      adjoint_family<ShellKind::ani>(plan, family, work, g);
  }
  for (std::size_t m = 0; m < g.count; ++m)
    for (std::int32_t i = 0; i < row.n; ++i) {
      Quad<S> x = work.gradients[m].across[i];
      x.add_scaled(work.gradients[m].along.at(i), work.D[i]);
      const std::size_t edge = m * static_cast<std::size_t>(row.n) + static_cast<std::size_t>(work.row.index[i]);
      store_gradient(x, g_D + 3 * edge);
    }
}

template <typename S>
constexpr cpu::FeatureKernels<plain_t<S>> table() {
  return {workspace<S>, load<S>, forward<S>, adjoint<S>};
}

}  // namespace rows
}  // namespace AC_ISA

namespace cpu::AC_ISA {

const FeatureKernels<float> features_float = rows::table<math::Pack<float>>();
const FeatureKernels<double> features_double = rows::table<math::Pack<double>>();
const FeatureKernels<float> features_dual_float = rows::table<math::Dual<math::Pack<float>>>();
const FeatureKernels<double> features_dual_double = rows::table<math::Dual<math::Pack<double>>>();

}  // namespace cpu::AC_ISA
}  // namespace atomcore
