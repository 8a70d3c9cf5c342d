// Symmetry functions of one centre and their products with vectors. On packs of numbers the forward pass gives features
// and the adjoint pass J^T g; on packs of dual numbers they give J v and d/dD (g^T J v).
#include "src/isa/features.hpp"

#include <type_traits>

#include "src/isa/moments.hpp"
#include "src/isa/triplets.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace rows {

using cpu::JacobianRow;

// Everything that a workspace holds, at places that follow from plan, row and number of cotangents alone.
template <typename S>
struct Workspace {
  using U = plain_t<S>;
  Neighbors<S> row;
  Within<S> within;
  Triplets<S> triplets;
  Moments<S> moments;
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
    within.place = reinterpret_cast<decltype(within.place)>(arena.take(size + 2 * static_cast<std::size_t>(kWidth<S>)));
    take_triplets(arena, plan, triplets);
    take_moments(arena, plan, moments);
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

  // dE/dD of neighbour i for cotangent m.
  Quad<S> gradient(std::size_t m, std::int32_t i) const {
    Quad<S> x = gradients[m].across[i];
    x.add_scaled(gradients[m].along.at(i), D[i]);
    return x;
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

// Calls body with the type of the family's shells as a constant.
template <typename U, typename Body>
inline void with_shell_type(const FamilyData<U>& family, Body&& body) {
  if (family.shell_type == FunctionType::narrow)
    body(std::integral_constant<FunctionType, FunctionType::narrow>());
  else if (family.shell_type == FunctionType::wide)
    body(std::integral_constant<FunctionType, FunctionType::wide>());
  else
    body(std::integral_constant<FunctionType, FunctionType::ani>());
}

template <FunctionType kShell, typename S>
void forward_family(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, Workspace<S>& work,
                    plain_t<S>* G) {
  using U = plain_t<S>;
  Triplets<S>& t = work.triplets;
  list_groups<kShell, false>(
      plan, family, family.first_group, family.first_group + family.n_groups, work.within, t, [&] {
        evaluate<kShell, false>(family, t);
        sum_segments(plan, family, t, [&](const GroupData<U>& group, const Column<S>& sums) {
          add_lane_sums(sums, group.n_cells, [&](int c, U sum) { G[group.columns[c]] += group.prefactors[c] * sum; });
        });
      });
}

template <typename S>
void forward(const PlanData<plain_t<S>>& plan, const RowInput<plain_t<S>>& row, plain_t<S>* memory, plain_t<S>* G) {
  using U = plain_t<S>;
  Workspace<S> work(plan, row.n, 0, memory);
  for (std::int32_t c = 0; c < plan.n_features; ++c) G[c] = U(0);
  radial_forward(plan, work.row, work.triplets.sums, G);
  for (std::int32_t f = 0; f < plan.n_families; ++f) {
    const FamilyData<U>& family = plan.families[f];
    if (f == 0 || !same_neighbors(family, plan.families[f - 1])) select_within(plan, family, work.row, work.within);
    if (use_moments(plan, family, work.within))
      forward_moments(plan, family, work.within, work.moments, G);
    else
      with_shell_type(family, [&](auto type) { forward_family<type.value>(plan, family, work, G); });
  }
}

template <FunctionType kShell, typename S>
void adjoint_family(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, Workspace<S>& work,
                    const CotangentData<plain_t<S>>& g) {
  Triplets<S>& t = work.triplets;
  list_groups<kShell, true>(
      plan, family, family.first_group, family.first_group + family.n_groups, work.within, t, [&] {
        evaluate<kShell, true>(family, t);
        for (std::size_t m = 0; m < g.count; ++m) {
          for (std::int32_t n = 0; n < t.n_segments; ++n)
            contract_segment(family, plan.groups[t.segments[n].group], t.segments[n], g.g + m * g.stride, t);
          for (std::int32_t n = 0; n < t.n_runs; ++n)
            drain_run<kShell>(t.runs[n], work.within, work.D, work.gradients[m], t);
        }
      });
}

template <typename S>
void start_gradients(std::int32_t n, std::size_t count, Workspace<S>& work) {
  for (std::int32_t i = 0; i < n; ++i) set_quad(work.D[i], work.row.x.at(i), work.row.y.at(i), work.row.z.at(i));
  for (std::size_t m = 0; m < count; ++m) {
    for (std::int32_t i = 0; i < n; i += kWidth<S>) work.gradients[m].along.store(i, S(plain_t<S>(0)));
    for (std::int32_t i = 0; i < n; ++i) work.gradients[m].across[i] = Quad<S>::zero();
  }
}

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
    if (f == 0 || !same_neighbors(family, plan.families[f - 1])) select_within(plan, family, work.row, work.within);
    if (use_moments(plan, family, work.within))
      adjoint_moments(plan, family, work.within, work.moments, work.triplets, g, work.gradients);
    else
      with_shell_type(family, [&](auto type) { adjoint_family<type.value>(plan, family, work, g); });
  }
  for (std::size_t m = 0; m < g.count; ++m)
    for (std::int32_t i = 0; i < row.n; ++i) {
      const std::size_t edge = m * static_cast<std::size_t>(row.n) + static_cast<std::size_t>(work.row.index[i]);
      store_gradient(work.gradient(m, i), g_D + 3 * edge);
    }
}

// ---- the sparse Jacobian

template <typename T>
void radial_jacobian(const PlanData<T>& plan, const Neighbors<Pack<T>>& row, const Column<Pack<T>>& slopes,
                     const JacobianRow<T>& out) {
  using S = Pack<T>;
  for (std::int32_t n = 0; n < plan.n_radial; ++n) {
    const RadialData<T>& group = plan.radial[n];
    for_radial_packs(plan, group, row, [&](std::int32_t i, std::int32_t end, const Jet<S>& fc) {
      for (std::int32_t f = 0; f < group.n; ++f) {
        const T* const p = group.parameters + 3 * f;
        slopes.store(0, p[0] * math::product(radial_term(group.kind, row.r.load(i), p), fc).d * row.inverse_r.load(i));
        for (std::int32_t l = i; l < i + kWidth<S> && l < end; ++l) {
          const std::int32_t e = row.index[l], first = out.first[e][n];
          if (first < 0) continue;
          T* const to = out.block[e] + 3 * (first + f);
          const T slope = slopes.at(l - i);
          to[0] += slope * row.x.at(l), to[1] += slope * row.y.at(l), to[2] += slope * row.z.at(l);
        }
      }
    });
  }
}

template <FunctionType kShell, typename T>
void jacobian_group(const PlanData<T>& plan, const FamilyData<T>& family, std::int32_t g, Workspace<Pack<T>>& work,
                    const JacobianRow<T>& out) {
  const GroupData<T>& group = plan.groups[g];
  Triplets<Pack<T>>& t = work.triplets;
  const std::int32_t n = work.row.n(plan.n_species);
  start_gradients(n, static_cast<std::size_t>(group.n_cells), work);
  list_groups<kShell, true>(plan, family, g, g + 1, work.within, t, [&] {
    evaluate<kShell, true>(family, t);
    for (std::int32_t s = 0; s < family.n_shells; ++s)
      for (std::int32_t c = group.shell_first[s]; c < group.shell_first[s + 1]; ++c) {
        take_cell(family, group, s, c, t);
        for (std::int32_t r = 0; r < t.n_runs; ++r)
          drain_run<kShell>(t.runs[r], work.within, work.D, work.gradients[c], t);
      }
  });
  for (std::int32_t i = 0; i < n; ++i) {
    const std::int32_t e = work.row.index[i], first = out.first[e][plan.n_radial + group.number];
    if (first < 0) continue;
    for (std::int32_t c = 0; c < group.n_cells; ++c)
      store_gradient(work.gradient(static_cast<std::size_t>(c), i), out.block[e] + 3 * (first + group.position[c]));
  }
}

template <typename T>
void jacobian(const PlanData<T>& plan, const RowInput<T>& row, T* memory, const JacobianRow<T>& out) {
  Workspace<Pack<T>> work(plan, row.n, static_cast<std::size_t>(plan.most_cells), memory);
  radial_jacobian(plan, work.row, work.triplets.sums, out);
  for (std::int32_t f = 0; f < plan.n_families; ++f) {
    const FamilyData<T>& family = plan.families[f];
    if (f == 0 || !same_neighbors(family, plan.families[f - 1])) select_within(plan, family, work.row, work.within);
    for (std::int32_t g = family.first_group; g < family.first_group + family.n_groups; ++g)
      with_shell_type(family, [&](auto type) { jacobian_group<type.value>(plan, family, g, work, out); });
  }
}

template <typename T>
constexpr cpu::FeatureKernels<T> plain_table() {
  return {workspace<Pack<T>>, load<Pack<T>>, forward<Pack<T>>, adjoint<Pack<T>>, jacobian<T>};
}
template <typename T>
constexpr cpu::FeatureKernels<T> dual_table() {
  using S = Dual<Pack<T>>;
  return {workspace<S>, load<S>, forward<S>, adjoint<S>, nullptr};
}

}  // namespace rows
}  // namespace AC_ISA

namespace cpu::AC_ISA {

const FeatureKernels<float> features_float = rows::plain_table<float>();
const FeatureKernels<double> features_double = rows::plain_table<double>();
const FeatureKernels<float> features_dual_float = rows::dual_table<float>();
const FeatureKernels<double> features_dual_double = rows::dual_table<double>();

}  // namespace cpu::AC_ISA
}  // namespace atomcore
