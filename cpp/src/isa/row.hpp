// The neighbourhood of one centre in its workspace, and its functions of one distance.
#pragma once

#include "math/symmetry_functions.hpp"
#include "src/isa/columns.hpp"
#include "src/isa/feature_data.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace rows {

using cpu::CotangentData;
using cpu::CutoffData;
using cpu::FamilyData;
using cpu::GroupData;
using cpu::kEveryElement;
using cpu::PlanData;
using cpu::RadialData;
using cpu::RadialKind;
using cpu::RowInput;
using math::Jet;

// Neighbours sorted by species: species s at first[s] .. first[s + 1].
template <typename S>
struct Neighbors {
  std::int32_t* first;  // [n_species + 1]
  std::int32_t* index;  // [n] place in the row as it was handed in; for a part of the row, place in the whole row
  Column<S> x, y, z, r, inverse_r;
  std::int32_t n(std::int32_t n_species) const { return first[n_species]; }
};

// What the adjoint pass collects for every neighbour: dE/dD = along * D + across.
template <typename S>
struct Gradient {
  Column<S> along;  // [n]
  Quad<S>* across;  // [n]
};

template <typename T>
inline math::Cutoff<T> cutoff_of(const CutoffData<T>& c) {
  return math::make_cutoff(static_cast<math::CutoffKind>(c.kind), c.low, c.high, c.inner, c.gamma);
}

template <typename S>
inline void take_neighbors(Arena<plain_t<S>>& arena, std::int32_t n, std::int32_t n_species, Neighbors<S>& to) {
  const auto size = static_cast<std::size_t>(n);
  to.first = arena.take_ints(static_cast<std::size_t>(n_species) + 1);
  to.index = arena.take_ints(size + static_cast<std::size_t>(kWidth<S>));
  take_column(arena, size, to.x);
  take_column(arena, size, to.y);
  take_column(arena, size, to.z);
  take_column(arena, size, to.r);
  take_column(arena, size, to.inverse_r);
}

template <typename T>
inline T component(const RowInput<T>& row, std::int32_t e, int k, const Pack<T>*) {
  return row.D[3 * e + k];
}
template <typename T>
inline Dual<T> component(const RowInput<T>& row, std::int32_t e, int k, const Dual<Pack<T>>*) {
  return {row.D[3 * e + k], row.tangents[3 * e + k]};
}

// Numbers behind the n of a column, where the last pack may reach.
template <typename S>
inline void pad(const Column<S>& column, std::int32_t n) {
  for (std::int32_t i = n; i < n + kWidth<S>; ++i) column.set(i, lane_t<S>(plain_t<S>(1)));
}

// Counting sort by species, and the distances.
template <typename S>
void load_neighbors(const RowInput<plain_t<S>>& row, std::int32_t n_species, Neighbors<S>& to) {
  using U = plain_t<S>;
  const S* const tag = nullptr;
  for (std::int32_t s = 0; s <= n_species; ++s) to.first[s] = 0;
  for (std::int32_t e = 0; e < row.n; ++e) ++to.first[row.species[e] + 1];
  for (std::int32_t s = 0; s < n_species; ++s) to.first[s + 1] += to.first[s];
  for (std::int32_t e = 0; e < row.n; ++e) {
    const std::int32_t i = to.first[row.species[e]]++;  // for now the start of a species moves to its end
    to.index[i] = e;
    to.x.set(i, component(row, e, 0, tag));
    to.y.set(i, component(row, e, 1, tag));
    to.z.set(i, component(row, e, 2, tag));
  }
  for (std::int32_t s = n_species; s > 0; --s) to.first[s] = to.first[s - 1];
  to.first[0] = 0;
  pad(to.x, row.n), pad(to.y, row.n), pad(to.z, row.n);
  for (std::int32_t i = 0; i < row.n; i += kWidth<S>) {
    const S x = to.x.load(i), y = to.y.load(i), z = to.z.load(i);
    const S r = sqrt(x * x + y * y + z * z);
    to.r.store(i, r);
    to.inverse_r.store(i, S(U(1)) / r);
  }
  pad(to.r, row.n), pad(to.inverse_r, row.n);
}

// The range of a species, or of every element, whose weight is then weights[s] of each.
struct Range {
  std::int32_t begin, end;
};
template <typename S>
inline Range range_of(const Neighbors<S>& neighbors, std::int32_t species, std::int32_t n_species) {
  if (species == kEveryElement) return {0, neighbors.first[n_species]};
  return {neighbors.first[species], neighbors.first[species + 1]};
}

// Which lanes of a pack that starts at i stand before `end`.
template <typename S>
inline math::Mask<plain_t<S>> before(std::int32_t i, std::int32_t end) {
  using U = plain_t<S>;
  return math::lane_indices<U>() < static_cast<U>(end - i);
}

// The cutoff function of a pack of distances: zero outside its support.
template <typename S>
inline Jet<S> masked_cutoff(const S& r, const math::Cutoff<plain_t<S>>& cutoff, const math::Mask<plain_t<S>>& valid) {
  using U = plain_t<S>;
  const Jet<S> fc = math::cutoff_value(r, cutoff);
  const auto v = math::value(r);
  const auto inside = valid & (v < cutoff.high) & (v > cutoff.low);
  return {math::select(inside, fc.f, S(U(0))), math::select(inside, fc.d, S(U(0)))};
}

template <typename S>
inline Jet<S> radial_term(RadialKind kind, const S& r, const plain_t<S>* p) {
  return kind == RadialKind::cosine ? math::cosine_wave(r, p[1]) : math::gaussian(r, p[1], p[2]);
}

// Calls body(first neighbour of a pack, end of its species, cutoff function of its lanes times their weight).
template <typename S, typename Body>
inline void for_radial_packs(const PlanData<plain_t<S>>& plan, const RadialData<plain_t<S>>& group,
                             const Neighbors<S>& row, Body&& body) {
  using U = plain_t<S>;
  const math::Cutoff<U> cutoff = cutoff_of(group.cutoff);
  for (std::int32_t s = 0; s < plan.n_species; ++s) {
    if (group.species != kEveryElement && group.species != s) continue;
    const U weight = group.weights ? group.weights[s] : U(1);
    for (std::int32_t i = row.first[s]; i < row.first[s + 1]; i += kWidth<S>) {
      const Jet<S> fc = masked_cutoff(row.r.load(i), cutoff, before<S>(i, row.first[s + 1]));
      body(i, row.first[s + 1], Jet<S>{weight * fc.f, weight * fc.d});
    }
  }
}

template <typename S>
void radial_forward(const PlanData<plain_t<S>>& plan, const Neighbors<S>& row, const Column<S>& sums, plain_t<S>* G) {
  using U = plain_t<S>;
  for (std::int32_t g = 0; g < plan.n_radial; ++g) {
    const RadialData<U>& group = plan.radial[g];
    const Range range = range_of(row, group.species, plan.n_species);
    if (range.begin == range.end) continue;
    for (std::int32_t f = 0; f < group.n; ++f) sums.store(f * kWidth<S>, S(U(0)));
    for_radial_packs(plan, group, row, [&](std::int32_t i, std::int32_t, const Jet<S>& fc) {
      const S r = row.r.load(i);
      for (std::int32_t f = 0; f < group.n; ++f)
        sums.store(f * kWidth<S>,
                   sums.load(f * kWidth<S>) + fc.f * radial_term(group.kind, r, group.parameters + 3 * f).f);
    });
    add_lane_sums(sums, group.n, [&](int f, U sum) { G[group.columns[f]] += group.parameters[3 * f] * sum; });
  }
}

// Adds dE/dr / r of every neighbour to `along` of each cotangent.
template <typename S>
void radial_adjoint(const PlanData<plain_t<S>>& plan, const Neighbors<S>& row, const CotangentData<plain_t<S>>& g,
                    Gradient<S>* gradients) {
  using U = plain_t<S>;
  for (std::int32_t n = 0; n < plan.n_radial; ++n) {
    const RadialData<U>& group = plan.radial[n];
    for (std::size_t m = 0; m < g.count; ++m) {
      const U* const g_m = g.g + m * g.stride;
      for_radial_packs(plan, group, row, [&](std::int32_t i, std::int32_t, const Jet<S>& fc) {
        const S r = row.r.load(i);
        S slope(U(0));
        for (std::int32_t f = 0; f < group.n; ++f) {
          const U* const p = group.parameters + 3 * f;
          slope += (g_m[group.columns[f]] * p[0]) * math::product(radial_term(group.kind, r, p), fc).d;
        }
        const Column<S>& along = gradients[m].along;
        along.store(i, along.load(i) + slope * row.inverse_r.load(i));
      });
    }
  }
}

}  // namespace rows
}  // namespace AC_ISA
}  // namespace atomcore
