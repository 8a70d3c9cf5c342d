// Wide angular functions of whole exponents without triplets. With the moments of the density of neighbours,
//   M_i = sum_j P(r_j) x_j^a y_j^b z_j^c,  i = (a, b, c),
// of unit vectors (x, y, z), the sum over pairs of neighbours of P(r_j) P(r_k) cos^p is the sum of p! / (a! b! c!)
// M_i^2 over all i with a + b + c = p, and ((1 + lambda cos) / 2)^zeta is a sum of such powers. What neighbours make
// with themselves is taken out. The adjoint goes back through the same recurrence.
#pragma once

#include "src/isa/triplets.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace rows {

using cpu::MonomialData;

template <typename S>
struct Moments {
  Column<S> monomials;      // [n] of one pack of neighbours, a pack each
  Column<S> weights;        // [n] their adjoints
  Column<S> terms, slopes;  // [n_shells] P and dP/dr of one pack
  Column<S> sums;           // [n_shells, n + 1] packs
  Column<S> values,
      gradients;  // [n_species + 1, n_shells, n + 1] moments and sum of P^2, of a species or (last) of all
};

template <typename S>
inline void take_moments(Arena<plain_t<S>>& arena, const PlanData<plain_t<S>>& plan, Moments<S>& moments) {
  const auto n = static_cast<std::size_t>(plan.most_monomials), shells = static_cast<std::size_t>(plan.most_shells);
  const std::size_t width = static_cast<std::size_t>(kWidth<S>);
  const std::size_t all = (static_cast<std::size_t>(plan.n_species) + 1) * shells * (n + 1);
  take_column(arena, n * width, moments.monomials);
  take_column(arena, n * width, moments.weights);
  take_column(arena, shells * width, moments.terms);
  take_column(arena, shells * width, moments.slopes);
  take_column(arena, (shells * (n + 1) + width) * width, moments.sums);
  take_column(arena, n == 0 ? 0 : all, moments.values);
  take_column(arena, n == 0 ? 0 : all, moments.gradients);
}

// Where the numbers of a species' shell start in `values` and `gradients`.
template <typename T>
inline std::int32_t place_of(const PlanData<T>& plan, const FamilyData<T>& family, std::int32_t species,
                             std::int32_t shell) {
  const std::int32_t s = species == kEveryElement ? plan.n_species : species;
  return (s * family.n_shells + shell) * (family.n_monomials + 1);
}

// The monomials and the terms P of all shells of a pack of neighbours; lanes at and after `end` have P = 0.
template <bool kAdjoint, typename S>
inline void evaluate_pack(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, const Within<S>& w,
                          std::int32_t i, std::int32_t end, const Moments<S>& m) {
  using U = plain_t<S>;
  const auto valid = before<S>(i, end);
  const auto or_zero = [&](const S& x) { return math::select(valid, x, S(U(0))); };  // no lane holds what is no number
  const S r = or_zero(w.r.load(i)), inverse_r = w.inverse_r.load(i);
  const S unit[3] = {or_zero(w.x.load(i) * inverse_r), or_zero(w.y.load(i) * inverse_r),
                     or_zero(w.z.load(i) * inverse_r)};
  m.monomials.store(0, S(U(1)));
  for (std::int32_t n = 1; n < family.n_monomials; ++n)
    m.monomials.store(n * kWidth<S>,
                      unit[plan.monomials.axis[n]] * m.monomials.load(plan.monomials.parent[n] * kWidth<S>));
  const Jet<S> fc{or_zero(w.f.load(i)), or_zero(w.d.load(i))};
  for (std::int32_t s = 0; s < family.n_shells; ++s) {
    const Jet<S> term = math::product(math::gaussian(r, family.shells[2 * s], family.shells[2 * s + 1]), fc);
    m.terms.store(s * kWidth<S>, term.f);
    if constexpr (kAdjoint) m.slopes.store(s * kWidth<S>, term.d);
  }
}

// Writes the sums over lanes of n packs to to[0 .. n).
template <typename T>
inline void store_lane_sums(const Column<Pack<T>>& sums, int n, const Column<Pack<T>>& to, int place) {
  add_lane_sums(sums, n, [&](int i, T sum) { to.v[place + i] = sum; });
}
template <typename T>
inline void store_lane_sums(const Column<Dual<Pack<T>>>& sums, int n, const Column<Dual<Pack<T>>>& to, int place) {
  add_lane_sums(Column<Pack<T>>{sums.v}, n, [&](int i, T sum) { to.v[place + i] = sum; });
  add_lane_sums(Column<Pack<T>>{sums.d}, n, [&](int i, T sum) { to.d[place + i] = sum; });
}

template <typename S>
void sum_moments(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, const Within<S>& w,
                 std::int32_t species, const Moments<S>& m) {
  using U = plain_t<S>;
  const Range range = range_of(w, species, plan.n_species);
  const std::int32_t n = family.n_monomials, size = family.n_shells * (n + 1);
  for (std::int32_t k = 0; k < size; ++k) m.sums.store(k * kWidth<S>, S(U(0)));
  for (std::int32_t i = range.begin; i < range.end; i += kWidth<S>) {
    evaluate_pack<false>(plan, family, w, i, range.end, m);
    for (std::int32_t s = 0; s < family.n_shells; ++s) {
      const S term = m.terms.load(s * kWidth<S>);
      const std::int32_t start = s * (n + 1);
      for (std::int32_t k = 0; k < n; ++k) {
        const std::int32_t place = (start + k) * kWidth<S>;
        m.sums.store(place, m.sums.load(place) + term * m.monomials.load(k * kWidth<S>));
      }
      const std::int32_t square = (start + n) * kWidth<S>;
      m.sums.store(square, m.sums.load(square) + term * term);
    }
  }
  store_lane_sums(m.sums, size, m.values, place_of(plan, family, species, 0));
}

// Calls body with every element that a group of the family names, once.
template <typename T, typename Body>
inline void for_named_species(const PlanData<T>& plan, const FamilyData<T>& family, Body&& body) {
  for (std::int32_t s = kEveryElement; s < plan.n_species; ++s) {
    bool named = false;
    for (std::int32_t g = family.first_group; g < family.first_group + family.n_groups; ++g)
      named |= plan.groups[g].a == s || plan.groups[g].b == s;
    if (named) body(s);
  }
}

// The sum over pairs of neighbours of P P cos^p, p up to the family's degree, for one shell of a group.
template <typename S>
void power_sums(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family,
                const GroupData<plain_t<S>>& group, std::int32_t shell, const Moments<S>& m, lane_t<S>* sums) {
  using U = plain_t<S>;
  const std::int32_t a = place_of(plan, family, group.a, shell), b = place_of(plan, family, group.b, shell);
  const lane_t<S> self = m.values.at(a + family.n_monomials);
  for (std::int32_t p = 0; p <= family.degree; ++p) {
    lane_t<S> sum(U(0));
    for (std::int32_t k = plan.monomials.first[p]; k < plan.monomials.first[p + 1]; ++k)
      sum += plan.monomials.multinomial[k] * (m.values.at(a + k) * m.values.at(b + k));
    sums[p] = group.a == group.b ? U(0.5) * (sum - self) : sum;
  }
}

constexpr std::int32_t kMostPowers = cpu::kMostDegrees + 1;

template <typename T>
inline T result(T x) {
  return x;
}
template <typename T>
inline T result(const Dual<T>& x) {
  return x.d;
}

template <typename S>
void forward_moments(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, const Within<S>& w,
                     const Moments<S>& m, plain_t<S>* G) {
  using U = plain_t<S>;
  for_named_species(plan, family, [&](std::int32_t species) { sum_moments(plan, family, w, species, m); });
  for (std::int32_t g = family.first_group; g < family.first_group + family.n_groups; ++g) {
    const GroupData<U>& group = plan.groups[g];
    for (std::int32_t s = 0; s < family.n_shells; ++s) {
      if (group.shell_first[s] == group.shell_first[s + 1]) continue;
      lane_t<S> sums[kMostPowers];
      power_sums(plan, family, group, s, m, sums);
      for (std::int32_t c = group.shell_first[s]; c < group.shell_first[s + 1]; ++c) {
        const U* const binomials = family.binomials + group.angle[c] * (family.degree + 1);
        U value(0);
        for (std::int32_t p = 0; p <= family.degree; ++p) value += binomials[p] * result(sums[p]);
        G[group.columns[c]] += group.prefactors[c] * value;
      }
    }
  }
}

// dE/dM of all moments from the cotangents g of the features.
template <typename S>
void moment_gradients(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, const plain_t<S>* g,
                      const Moments<S>& m) {
  using U = plain_t<S>;
  const lane_t<S> zero(U(0));
  const std::int32_t size = (plan.n_species + 1) * family.n_shells * (family.n_monomials + 1);
  for (std::int32_t k = 0; k < size; ++k) m.gradients.set(k, zero);
  for (std::int32_t n = family.first_group; n < family.first_group + family.n_groups; ++n) {
    const GroupData<U>& group = plan.groups[n];
    for (std::int32_t s = 0; s < family.n_shells; ++s) {
      if (group.shell_first[s] == group.shell_first[s + 1]) continue;
      U powers[kMostPowers] = {};  // dE / d(sum of P P cos^p)
      U self(0);
      for (std::int32_t c = group.shell_first[s]; c < group.shell_first[s + 1]; ++c)
        for (std::int32_t p = 0; p <= family.degree; ++p)
          powers[p] +=
              g[group.columns[c]] * group.prefactors[c] * family.binomials[group.angle[c] * (family.degree + 1) + p];
      const std::int32_t a = place_of(plan, family, group.a, s), b = place_of(plan, family, group.b, s);
      for (std::int32_t p = 0; p <= family.degree; ++p) {
        self += powers[p];
        for (std::int32_t k = plan.monomials.first[p]; k < plan.monomials.first[p + 1]; ++k) {
          const U w = powers[p] * plan.monomials.multinomial[k];
          m.gradients.set(a + k, m.gradients.at(a + k) + w * m.values.at(b + k));
          if (a != b) m.gradients.set(b + k, m.gradients.at(b + k) + w * m.values.at(a + k));
        }
      }
      const std::int32_t square = a + family.n_monomials;
      if (a == b) m.gradients.set(square, m.gradients.at(square) + lane_t<S>(U(-0.5) * self));
    }
  }
}

// Adds dE/dD of the neighbours [i, end) of one species, from dE/dM.
template <typename S>
void adjoint_pack(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, const Within<S>& w,
                  std::int32_t species, std::int32_t i, std::int32_t end, const Moments<S>& m,
                  const Triplets<S>& buffers, const Gradient<S>& to) {
  using U = plain_t<S>;
  const std::int32_t n = family.n_monomials;
  evaluate_pack<true>(plan, family, w, i, end, m);
  for (std::int32_t k = 0; k < n; ++k) m.weights.store(k * kWidth<S>, S(U(0)));
  S in_r(U(0));
  for (std::int32_t s = 0; s < family.n_shells; ++s) {
    const std::int32_t place = place_of(plan, family, species, s);
    const S term = m.terms.load(s * kWidth<S>);
    S in_term = broadcast(m.gradients.at(place + n)) * (U(2) * term);
    for (std::int32_t k = 0; k < n; ++k) {
      const S gradient = broadcast(m.gradients.at(place + k));
      in_term += gradient * m.monomials.load(k * kWidth<S>);
      m.weights.store(k * kWidth<S>, m.weights.load(k * kWidth<S>) + term * gradient);
    }
    in_r += in_term * m.slopes.load(s * kWidth<S>);
  }
  const S inverse_r = w.inverse_r.load(i);
  const S unit[3] = {w.x.load(i) * inverse_r, w.y.load(i) * inverse_r, w.z.load(i) * inverse_r};
  S in_unit[3] = {S(U(0)), S(U(0)), S(U(0))};
  for (std::int32_t k = n - 1; k > 0; --k) {
    const std::int32_t axis = plan.monomials.axis[k], parent = plan.monomials.parent[k] * kWidth<S>;
    const S weight = m.weights.load(k * kWidth<S>);
    in_unit[axis] += weight * m.monomials.load(parent);
    m.weights.store(parent, m.weights.load(parent) + weight * unit[axis]);
  }
  const S inward = in_unit[0] * unit[0] + in_unit[1] * unit[1] + in_unit[2] * unit[2];
  buffers.v0.store(0, (in_r - inward * inverse_r) * inverse_r);
  buffers.v1.store(0, in_unit[0] * inverse_r);
  buffers.v2.store(0, in_unit[1] * inverse_r);
  buffers.v_c.store(0, in_unit[2] * inverse_r);
  for (std::int32_t l = 0; l < kWidth<S> && i + l < end; ++l) {
    const std::int32_t k = w.index[i + l];
    to.along.set(k, to.along.at(k) + buffers.v0.at(l));
    Quad<S> across;
    set_quad(across, buffers.v1.at(l), buffers.v2.at(l), buffers.v_c.at(l));
    to.across[k].add(across);
  }
}

template <typename S>
void adjoint_moments(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, const Within<S>& w,
                     const Moments<S>& m, const Triplets<S>& buffers, const CotangentData<plain_t<S>>& g,
                     const Gradient<S>* gradients) {
  for_named_species(plan, family, [&](std::int32_t species) { sum_moments(plan, family, w, species, m); });
  for (std::size_t n = 0; n < g.count; ++n) {
    moment_gradients(plan, family, g.g + n * g.stride, m);
    for_named_species(plan, family, [&](std::int32_t species) {
      const Range range = range_of(w, species, plan.n_species);
      for (std::int32_t i = range.begin; i < range.end; i += kWidth<S>)
        adjoint_pack(plan, family, w, species, i, range.end, m, buffers, gradients[n]);
    });
  }
}

// Whether moments are less work than triplets for this centre: the first cost with the neighbours, the second with
// their pairs. The bound is a rough one, from a few sets on water.
template <typename S>
inline bool use_moments(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, const Within<S>& w) {
  if (family.n_monomials == 0) return false;
  std::int64_t pairs = 0;
  for (std::int32_t g = family.first_group; g < family.first_group + family.n_groups; ++g) {
    const Range a = range_of(w, plan.groups[g].a, plan.n_species), b = range_of(w, plan.groups[g].b, plan.n_species);
    const std::int64_t n = a.end - a.begin;
    pairs += plan.groups[g].a == plan.groups[g].b ? n * (n - 1) / 2 : n * (b.end - b.begin);
  }
  return pairs > cpu::kPairsPerMonomial * family.n_monomials * family.n_groups;
}

}  // namespace rows
}  // namespace AC_ISA
}  // namespace atomcore
