#include "src/isa/gdml.hpp"

#include "math/distance_kernels.hpp"
#include "math/pack_functions.hpp"

namespace atomcore::cpu {
namespace {

using P = math::Pack<double>;
constexpr std::size_t kWidth = static_cast<std::size_t>(P::kWidth);

// d of one permutation, once as i sees it (in return the sum of squares) and once in the order of j's pairs.
[[gnu::always_inline]] inline P differences(const GdmlView& view, const std::int32_t* permuted, const double* x,
                                            const double* group_x, double* own, double* other) {
  P sums[4] = {P(0.0), P(0.0), P(0.0), P(0.0)};
  for (std::size_t k = 0; k < view.n_pairs; ++k) {
    const std::size_t place = static_cast<std::size_t>(permuted[k]) * kGroup;
    const P d = P(x[k]) - math::load_pack(group_x + place);
    math::store_pack(own + k * kGroup, d);
    math::store_pack(other + place, d);
    sums[k % 4] += d * d;
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Three sums that belong to one atom.
struct Sums {
  P x, y, z;
};

// Component c of C_k: the number of one structure (kStride 1), or lanes of the line of a group.
template <std::size_t kStride>
[[gnu::always_inline]] inline P component(const double* C, std::size_t k, std::size_t c) {
  if constexpr (kStride == 1)
    return P(C[3 * k + c]);
  else
    return math::load_pack(C + (3 * k + c) * kStride);
}

// J^T d at one atom.
template <std::size_t kStride>
[[gnu::always_inline]] inline Sums at_atom(std::size_t n_atoms, std::size_t atom, const double* C, const double* d) {
  Sums low{P(0.0), P(0.0), P(0.0)}, high = low;  // of pairs in which the atom is the lower one, and the higher one
  for (std::size_t b = 0; b < atom; ++b) {
    const std::size_t k = atom * (atom - 1) / 2 + b;
    const P d_k = math::load_pack(d + k * kGroup);
    high.x += component<kStride>(C, k, 0) * d_k;
    high.y += component<kStride>(C, k, 1) * d_k;
    high.z += component<kStride>(C, k, 2) * d_k;
  }
  for (std::size_t b = atom + 1; b < n_atoms; ++b) {
    const std::size_t k = b * (b - 1) / 2 + atom;
    const P d_k = math::load_pack(d + k * kGroup);
    low.x += component<kStride>(C, k, 0) * d_k;
    low.y += component<kStride>(C, k, 1) * d_k;
    low.z += component<kStride>(C, k, 2) * d_k;
  }
  return {low.x - high.x, low.y - high.y, low.z - high.z};
}

[[gnu::always_inline]] inline void store(double* to, const Sums& s, const P& factor) {
  math::store_pack(to, factor * s.x);
  math::store_pack(to + kGroup, factor * s.y);
  math::store_pack(to + 2 * kGroup, factor * s.z);
}

[[gnu::always_inline]] inline void add(double* to, const Sums& s, const P& factor) {
  const P parts[3] = {s.x, s.y, s.z};
  for (std::size_t c = 0; c < 3; ++c)
    math::store_pack(to + c * kGroup, math::load_pack(to + c * kGroup) + factor * parts[c]);
}

void clear(double* lines, std::size_t n) {
  for (std::size_t i = 0; i < n * kGroup; ++i) lines[i] = 0.0;
}

// Sums of b over the permutations of every set. b of permutation p is at b + p * kGroup.
void sum_weights(const GdmlView& view, const double* b, double* weights) {
  for (std::size_t set = 0; set < view.n_sets; ++set)
    for (std::size_t lane = 0; lane < kGroup; lane += kWidth) {
      P sum(0.0);
      for (std::int32_t m = view.set_begin[set]; m < view.set_begin[set + 1]; ++m)
        sum += math::load_pack(b + static_cast<std::size_t>(view.set_members[m]) * kGroup + lane);
      math::store_pack(weights + set * kGroup + lane, sum);
      math::store_pack(weights + (view.n_sets + set) * kGroup + lane, -sum);
    }
}

// Everything about one permutation and kWidth of the group, to whose lanes the pointers point.
[[gnu::always_inline]] inline void relate_lanes(const GdmlView& view, std::size_t p, const double* x, const double* C,
                                                const double* group_x, const double* group_C, const GdmlTerms& t,
                                                std::size_t lane) {
  double *const own = t.difference + lane, *const other = own + view.n_pairs * kGroup;
  const P q = differences(view, view.permuted + p * view.n_pairs, x, group_x + lane, own, other);
  const auto k = math::kernel_jet<math::KernelKind::matern52>(q, {});
  const P b = -2.0 * k.d, minus_a = -4.0 * k.dd;
  math::store_pack(t.b + p * kGroup + lane, b);
  if (t.energy != nullptr) math::store_pack(t.energy + lane, math::load_pack(t.energy + lane) + k.f);
  for (std::size_t atom = 0; atom < view.n_atoms; ++atom) {
    const Sums u = at_atom<1>(view.n_atoms, atom, C, own);
    const Sums w = at_atom<kGroup>(view.n_atoms, atom, group_C + lane, other);
    const std::size_t place = (p * view.n_atoms + atom) * 3 * kGroup + lane;
    store(t.u + place, u, P(1.0));
    store(t.w + place, w, minus_a);
    if (t.energy == nullptr) continue;
    add(t.force_energy + atom * 3 * kGroup + lane, u, -b);
    add(t.energy_force + atom * 3 * kGroup + lane, w, b);
  }
}

void relate(const GdmlView& view, const double* x, const double* C, const double* group_x, const double* group_C,
            const GdmlTerms& t) {
  if (t.energy != nullptr) {
    clear(t.energy, 1);
    clear(t.force_energy, 3 * view.n_atoms);
    clear(t.energy_force, 3 * view.n_atoms);
  }
  for (std::size_t p = 0; p < view.n_permutations; ++p)
    for (std::size_t lane = 0; lane < kGroup; lane += kWidth) relate_lanes(view, p, x, C, group_x, group_C, t, lane);
  sum_weights(view, t.b, t.weights);
}

// The 3 x 3 piece of atom a of i and atom b of the group: its nine lines go to `columns`.
[[gnu::always_inline]] inline void piece(const GdmlView& view, const double* C, const double* group_C,
                                         const GdmlTerms& t, std::size_t a, std::size_t b, std::size_t stride,
                                         std::size_t lane) {
  P sum[3][3];
  for (auto& row : sum)
    for (P& s : row) s = P(0.0);
  for (std::size_t p = 0; p < view.n_permutations; ++p) {
    const double* const u = t.u + (p * view.n_atoms + a) * 3 * kGroup + lane;
    const double* const w = t.w + (p * view.n_atoms + b) * 3 * kGroup + lane;
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t c = 0; c < 3; ++c)
        sum[r][c] += math::load_pack(u + r * kGroup) * math::load_pack(w + c * kGroup);
  }
  const std::size_t pieces = a * view.n_atoms + b;
  for (std::int32_t l = view.link_begin[pieces]; l < view.link_begin[pieces + 1]; ++l) {
    const GdmlLink& link = view.links[l];
    const double* const other = group_C + static_cast<std::size_t>(link.other) * 3 * kGroup + lane;
    const P weight = math::load_pack(t.weights + static_cast<std::size_t>(link.weight) * kGroup + lane);
    for (std::size_t c = 0; c < 3; ++c) {
      const P weighted = weight * math::load_pack(other + c * kGroup);
      for (std::size_t r = 0; r < 3; ++r) sum[r][c] += P(C[3 * static_cast<std::size_t>(link.pair) + r]) * weighted;
    }
  }
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 3; ++c)
      math::store_pack(t.columns + r * stride + (3 * b + c) * kGroup + lane, sum[r][c]);
}

// Whole packs are written; what goes beyond the n numbers of a structure is written over by the first numbers of the
// next, which come later: the last columns come first.
void transpose(const double* lines, std::size_t n, double* row) {
  for (std::size_t lane = 0; lane < kGroup; lane += kWidth)
    for (std::size_t pack = (n + kWidth - 1) / kWidth; pack-- > 0;) {
      P x[kWidth];
      for (std::size_t l = 0; l < kWidth; ++l) x[l] = math::load_pack(lines + (pack * kWidth + l) * kGroup + lane);
      math::transpose(x);
      for (std::size_t l = 0; l < kWidth; ++l) math::store_pack(row + (lane + l) * n + pack * kWidth, x[l]);
    }
}

void force_rows(const GdmlView& view, const double* C, const double* group_C, const GdmlTerms& t, std::size_t atom,
                double* rows) {
  const std::size_t n = 3 * view.n_atoms, stride = (n + kGroup - 1) / kGroup * kGroup * kGroup;
  for (std::size_t lane = 0; lane < kGroup; lane += kWidth)
    for (std::size_t b = 0; b < view.n_atoms; ++b) piece(view, C, group_C, t, atom, b, stride, lane);
  for (std::size_t r = 0; r < 3; ++r) transpose(t.columns + r * stride, n, rows + r * (kGroup * n + kGroup));
}

}  // namespace

namespace AC_ISA {
const GdmlKernels kGdml{relate, force_rows, transpose};
}  // namespace AC_ISA

}  // namespace atomcore::cpu
