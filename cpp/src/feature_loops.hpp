// The loops that features.cpp and features_jacobian.cpp share: a plan read into the working precision, the
// neighbourhood of one centre sorted by species, and the walk over its triplets with every factor evaluated once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "math/symmetry_functions.hpp"
#include "src/feature_plan.hpp"

namespace atomcore::cpu {

using math::Jet;
using math::Vec3;

template <typename U>
struct RadialGroup {
  plan_layout::RadialKind kind;
  int species, n;    // species -1: every element
  const U* weights;  // [n_species], or null for weights of 1
  math::Cutoff<U> cutoff;
  const U* parameters;  // [n, kRadialStride]
  const std::int32_t* columns;
};

template <typename U>
struct ShellSet {
  FunctionType type;
  int n;
  math::Cutoff<U> cutoff;
  const U* parameters;  // [n, kShellStride]
};

template <typename U>
struct AngularGroup {
  plan_layout::AngleKind kind;
  int shell_set, a, b, n_angles, n_columns;  // a = b = -1: every element
  const U* weights;                          // [n_species], or null for weights of 1
  const U* angles;                           // [n_angles, kAngleStride]
  const std::int32_t *columns, *cells;
  const U* prefactors;
};

// A plan with its parameters in precision U. Made once a kernel call; the lists stay in the plan's table.
template <typename U>
struct PlanView {
  explicit PlanView(Plan plan) : parameters(plan.parameters.size()), classes(edge_classes_of(plan.table)) {
    using namespace plan_layout;
    std::transform(plan.parameters.begin(), plan.parameters.end(), parameters.begin(),
                   [](double x) { return static_cast<U>(x); });
    const std::int32_t* t = plan.table.data();
    const U* p = parameters.data();
    n_species = t[0], n_features = t[1], n_cutoffs = t[2];
    const std::int32_t* record = t + kHeader;
    for (int i = 0; i < t[3]; ++i, record += kRadialSize)
      radial.push_back({static_cast<RadialKind>(record[kRadialKind]), record[kRadialSpecies], record[kRadialCount],
                        weights_at(record[kRadialWeights]), cutoff_of(p + record[kRadialCutoff]),
                        p + record[kRadialParameters], t + record[kRadialColumns]});
    for (int i = 0; i < t[4]; ++i, record += kShellSize)
      shell_sets.push_back({static_cast<FunctionType>(record[kShellType]), record[kShellCount],
                            cutoff_of(p + record[kShellCutoff]), p + record[kShellParameters]});
    for (int i = 0; i < t[5]; ++i, record += kAngularSize)
      angular.push_back({static_cast<AngleKind>(record[kAngularKind]), record[kAngularShells], record[kAngularA],
                         record[kAngularB], record[kAngularAngles], record[kAngularCount],
                         weights_at(record[kAngularWeights]), p + record[kAngularParameters],
                         t + record[kAngularColumns], t + record[kAngularCells], p + record[kAngularPrefactors]});
  }
  static math::Cutoff<U> cutoff_of(const U* p) {
    return math::make_cutoff(static_cast<math::CutoffKind>(static_cast<int>(p[0])), p[1], p[2], p[3], p[4]);
  }
  const U* weights_at(std::int32_t offset) const { return offset < 0 ? nullptr : parameters.data() + offset; }
  const U* cutoffs() const { return parameters.data(); }  // radii, ascending
  int edge_class(int species, U r) const {
    const int level = static_cast<int>(std::upper_bound(cutoffs(), cutoffs() + n_cutoffs, r) - cutoffs());
    return species * (n_cutoffs + 1) + level;
  }

  int n_species, n_features, n_cutoffs;
  std::vector<U> parameters;
  std::vector<RadialGroup<U>> radial;
  std::vector<ShellSet<U>> shell_sets;
  std::vector<AngularGroup<U>> angular;
  std::vector<EdgeClass> classes;
};

template <typename T, typename U = math::plain_t<T>>
bool is_inside(const T& r, const math::Cutoff<U>& cutoff) {
  return math::value(r) < cutoff.high && math::value(r) > cutoff.low;
}

// The radial factor that the parameters p name, without prefactor and cutoff function.
template <typename T>
Jet<T> radial_term(plan_layout::RadialKind kind, const T& r, const math::plain_t<T>* p) {
  return kind == plan_layout::RadialKind::cosine ? math::cosine_wave(r, p[1]) : math::gaussian(r, p[1], p[2]);
}

template <typename T>
struct Neighbor {
  std::int64_t edge;  // position in the centre's row
  std::size_t species;
  T r, inverse_r;
  Vec3<T> D, unit;
  Jet<T> cutoff;  // fc(r) of the list it stands in
};

// Neighbours of one centre within one cutoff, sorted by species: species s at first[s] .. first[s+1].
template <typename T>
struct Neighborhood {
  std::vector<Neighbor<T>> list;
  std::vector<std::size_t> first;
  std::size_t begin(int species) const { return species < 0 ? 0 : first[static_cast<std::size_t>(species)]; }
  std::size_t end(int species) const {
    return species < 0 ? list.size() : first[static_cast<std::size_t>(species) + 1];
  }

  template <typename Keep>
  void assign(const Neighborhood& from, Keep&& keep) {
    list.clear();
    first.assign(1, 0);
    for (std::size_t s = 0; s + 1 < from.first.size(); ++s) {
      for (std::size_t i = from.first[s]; i < from.first[s + 1]; ++i)
        if (keep(from.list[i])) list.push_back(from.list[i]);
      first.push_back(list.size());
    }
  }
};

// Everything about one triplet, written by for_each_triplet and read by its visitor.
template <typename T>
struct Triplet {
  const Neighbor<T>*j, *k;
  T cosine;
  Vec3<T> q_unit;                   // (D_j - D_k) / q, narrow functions only
  std::vector<T> S, S_a, S_b, S_q;  // shells and their derivatives in a, b, q
  std::vector<T> A, A_c;            // angles and their derivative in the cosine
  bool has_q;
};

// Per-thread workspace of one centre.
template <typename T>
struct Centre {
  using U = math::plain_t<T>;
  Neighborhood<T> all, within;
  std::vector<Jet<T>> pair_factors;  // [n_shells, n_neighbours] of a separable shell set
  Triplet<T> triplet;

  // D(e) returns the edge vector of edge e of the row as Vec3<T>.
  template <typename Vector>
  void load(const PlanView<U>& plan, const Graph& graph, std::int64_t row, Vector&& D) {
    const std::int64_t begin = graph.row_ptr[row], end = graph.row_ptr[row + 1];
    all.list.resize(static_cast<std::size_t>(end - begin));
    all.first.assign(static_cast<std::size_t>(plan.n_species) + 1, 0);
    const auto species = [&](std::int64_t e) { return static_cast<std::size_t>(graph.species[graph.neighbor[e]]); };
    for (std::int64_t e = begin; e < end; ++e) ++all.first[species(e) + 1];
    for (std::size_t s = 1; s < all.first.size(); ++s) all.first[s] += all.first[s - 1];
    next_ = all.first;
    for (std::int64_t e = begin; e < end; ++e) {
      Neighbor<T>& n = all.list[next_[species(e)]++];
      n.edge = e - begin;
      n.species = species(e);
      n.D = D(e);
      n.r = math::sqrt(math::dot(n.D, n.D));
      n.inverse_r = T(1) / n.r;
      n.unit = n.inverse_r * n.D;
    }
  }

  // Fills `within` with the neighbours inside the set's cutoff and, for separable shells, their pair factors.
  void select(const ShellSet<U>& set) {
    within.assign(all, [&](const Neighbor<T>& n) { return is_inside(n.r, set.cutoff); });
    for (Neighbor<T>& n : within.list) n.cutoff = math::cutoff_value(n.r, set.cutoff);
    pair_factors.clear();
    if (set.type == FunctionType::ani) return;
    for (int s = 0; s < set.n; ++s)
      for (const Neighbor<T>& n : within.list)
        pair_factors.push_back(math::product(math::gaussian(n.r, eta(set, s), shift(set, s)), n.cutoff));
  }

  static U eta(const ShellSet<U>& set, int s) { return set.parameters[s * plan_layout::kShellStride]; }
  static U shift(const ShellSet<U>& set, int s) { return set.parameters[s * plan_layout::kShellStride + 1]; }

 private:
  std::vector<std::size_t> next_;
};

// S(a, b) = exp(-eta ((a+b)/2 - shift)^2) fc(a) fc(b)
template <bool kGradient, typename T, typename U>
void ani_shells(const ShellSet<U>& set, Triplet<T>& t) {
  const T mean = U(0.5) * (t.j->r + t.k->r);
  const Jet<T>&fj = t.j->cutoff, &fk = t.k->cutoff;
  const T fc = fj.f * fk.f;
  for (int s = 0; s < set.n; ++s) {
    const Jet<T> g = math::gaussian(mean, Centre<T>::eta(set, s), Centre<T>::shift(set, s));
    t.S[s] = g.f * fc;
    if constexpr (kGradient) {
      const T slope = U(0.5) * (g.d * fc);
      t.S_a[s] = slope + g.f * (fj.d * fk.f);
      t.S_b[s] = slope + g.f * (fj.f * fk.d);
    }
  }
}

// S(a, b[, q]) = P(a) P(b) [P(q)], P(r) = exp(-eta (r - shift)^2) fc(r); `jets` of shell s at jets[s * stride].
template <bool kGradient, bool kNarrow, typename T, typename U>
void separable_shells(const ShellSet<U>& set, const Jet<T>* jets_j, const Jet<T>* jets_k, std::size_t stride,
                      const T& q, Triplet<T>& t) {
  Jet<T> fq{T(1), T(0)};
  if constexpr (kNarrow) fq = math::cutoff_value(q, set.cutoff);
  for (int s = 0; s < set.n; ++s) {
    const Jet<T>&pj = jets_j[s * stride], &pk = jets_k[s * stride];
    Jet<T> pq = fq;
    if constexpr (kNarrow) pq = math::product(math::gaussian(q, Centre<T>::eta(set, s), Centre<T>::shift(set, s)), fq);
    const T jk = pj.f * pk.f;
    t.S[s] = jk * pq.f;
    if constexpr (kGradient) {
      t.S_a[s] = pj.d * pk.f * pq.f;
      t.S_b[s] = pj.f * pk.d * pq.f;
      t.S_q[s] = jk * pq.d;
    }
  }
}

// Angles and their derivatives, times the weight of the triplet.
template <typename T, typename U>
void angles(const AngularGroup<U>& group, Triplet<T>& t) {
  using plan_layout::AngleKind;
  const U weight = group.weights ? group.weights[t.j->species] * group.weights[t.k->species] : U(1);
  const Vec3<T> normal = math::cross(t.j->unit, t.k->unit);
  const T sin2 = group.kind == AngleKind::behler ? T(0) : math::dot(normal, normal);  // 1 - cos^2, not cancelled
  for (int z = 0; z < group.n_angles; ++z) {
    const U* p = group.angles + z * plan_layout::kAngleStride;
    Jet<T> angle;
    if (group.kind == AngleKind::ani)
      angle = math::ani_angle(t.cosine, math::scaled_sine(sin2, p[3]), p[0], p[1], p[2], p[3]);
    else if (group.kind == AngleKind::behler)
      angle = math::behler_angle(t.cosine, p[0], p[1]);
    else
      angle = math::compact_angle(t.cosine, math::scaled_sine(sin2, U(1)),
                                  static_cast<math::CutoffKind>(static_cast<int>(p[0])), p[1], p[2], p[3]);
    t.A[z] = weight * angle.f;
    t.A_c[z] = weight * angle.d;
  }
}

template <bool kGradient, FunctionType kType, typename T, typename Visit>
void walk_triplets(const AngularGroup<math::plain_t<T>>& group, const ShellSet<math::plain_t<T>>& set,
                   Centre<T>& centre, Visit&& visit) {
  constexpr bool kNarrow = kType == FunctionType::narrow, kAni = kType == FunctionType::ani;
  Triplet<T>& t = centre.triplet;
  const Neighborhood<T>& near = centre.within;
  const std::size_t stride = near.list.size();
  t.has_q = kNarrow;
  for (std::size_t j = near.begin(group.a); j < near.end(group.a); ++j) {
    t.j = &near.list[j];
    for (std::size_t k = group.a == group.b ? j + 1 : near.begin(group.b); k < near.end(group.b); ++k) {
      t.k = &near.list[k];
      T q(0);
      if constexpr (kNarrow) {
        const Vec3<T> D = t.j->D - t.k->D;
        q = math::sqrt(math::dot(D, D));
        if (!is_inside(q, set.cutoff)) continue;
        t.q_unit = (T(1) / q) * D;
      }
      t.cosine = math::dot(t.j->unit, t.k->unit);
      if constexpr (kAni)
        ani_shells<kGradient>(set, t);
      else
        separable_shells<kGradient, kNarrow>(set, &centre.pair_factors[j], &centre.pair_factors[k], stride, q, t);
      angles(group, t);
      visit(t);
    }
  }
}

// Calls before(group index) ahead of each angular group, visit(triplet) for its triplets and after(group index) behind.
template <bool kGradient, typename T, typename Before, typename Visit, typename After>
void for_each_triplet(const PlanView<math::plain_t<T>>& plan, Centre<T>& centre, Before&& before, Visit&& visit,
                      After&& after) {
  Triplet<T>& t = centre.triplet;
  int selected = -1;
  for (std::size_t i = 0; i < plan.angular.size(); ++i) {
    const auto& group = plan.angular[i];
    const auto& set = plan.shell_sets[group.shell_set];
    if (group.shell_set != selected) centre.select(set), selected = group.shell_set;
    for (std::vector<T>* v : {&t.S, &t.S_a, &t.S_b, &t.S_q}) v->assign(set.n, T(0));
    for (std::vector<T>* v : {&t.A, &t.A_c}) v->resize(group.n_angles, T(0));
    before(i);
    if (set.type == FunctionType::narrow)
      walk_triplets<kGradient, FunctionType::narrow>(group, set, centre, visit);
    else if (set.type == FunctionType::wide)
      walk_triplets<kGradient, FunctionType::wide>(group, set, centre, visit);
    else
      walk_triplets<kGradient, FunctionType::ani>(group, set, centre, visit);
    after(i);
  }
}

// d(shell * angle)/dD_j and /dD_k of one triplet from its derivatives in a, b, q and the cosine.
template <typename T>
struct TripletGradient {
  Vec3<T> j, k;
};

template <typename T>
TripletGradient<T> triplet_gradient(const Triplet<T>& t, const T& in_a, const T& in_b, const T& in_q, const T& in_c) {
  const Vec3<T>&uj = t.j->unit, &uk = t.k->unit;
  const T cj = in_c * t.j->inverse_r, ck = in_c * t.k->inverse_r;
  TripletGradient<T> g{(in_a - cj * t.cosine) * uj + cj * uk, (in_b - ck * t.cosine) * uk + ck * uj};
  if (t.has_q) {
    const Vec3<T> along = in_q * t.q_unit;
    g.j = g.j + along;
    g.k = g.k - along;
  }
  return g;
}

}  // namespace atomcore::cpu
