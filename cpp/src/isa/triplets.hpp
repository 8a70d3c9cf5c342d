// Functions of pairs of neighbours: lists of triplets that stand densely, lane beside lane, whatever their species.
//
// A family of groups (feature_data.hpp) is worked off in chunks. `append` lists triplets and writes what is cheap of
// each; `evaluate` computes shells and angles of the whole list; then the forward pass sums products of them over the
// segments of each group, and the adjoint pass contracts them with the cotangents into a few numbers a triplet, which
// `drain` adds to the gradients of the two neighbours.
#pragma once

#include "src/isa/row.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace rows {

using atomcore::FunctionType;
using cpu::AngleKind;

constexpr std::int32_t kChunk = 128;  // triplets: their numbers stay in the first-level cache

// The neighbours within a family's cutoff; index is the place in the whole row.
template <typename S>
struct Within : Neighbors<S> {
  Column<S> f, d;                                         // cutoff function times weight, and its slope
  typename math::pack_types<plain_t<S>>::integer* place;  // as index, as wide as a lane
};

struct Run {  // of triplets with the same first neighbour j, a place in the whole row
  std::int32_t j, within, begin, end;
};
struct Segment {  // of triplets of one group
  std::int32_t group, begin, end;
};

template <typename S>
struct Triplets {
  using Index = typename math::pack_types<plain_t<S>>::integer;  // as wide as a lane, so that it is packed like numbers

  std::int32_t n, n_runs, n_segments;
  Run* runs;
  Segment* segments;
  Index* k;                       // [kChunk] second neighbour, a place in the whole row
  Column<S> cosine, a, b;         // cos(theta) and the distances to the neighbours
  Column<S> ff;                   // forward pass: the product of the cutoff functions
  Column<S> sine2;                // 1 - cos^2, where the angles need it
  Column<S> q;                    // narrow: the distance between the neighbours; its square as long as the list grows
  Column<S> inverse_b, f_b, d_b;  // adjoint pass: of the second neighbour
  Column<S> q_f, q_d;             // narrow: cutoff function of q
  Column<S> shells;               // [most_shells, kStride] without cutoff functions
  Column<S> angles, slopes;       // [most_angles, kStride] and derivatives in the cosine
  Column<S> v0, v1, v2, v_c;      // contracted: sum of values, of eta, eta shift times values, of slopes
  Column<S> along_k, across;      // what drain adds
  Column<S> sums;                 // of the cells of a group
  plain_t<S>* weights;            // [most_cells] cotangents times prefactors of a group

  static constexpr std::int32_t kStride = kChunk + 2 * kWidth<S>;
};

template <typename S>
inline void take_triplets(Arena<plain_t<S>>& arena, const PlanData<plain_t<S>>& plan, Triplets<S>& t) {
  constexpr auto size = static_cast<std::size_t>(kChunk + kWidth<S>);
  constexpr auto stride = static_cast<std::size_t>(Triplets<S>::kStride);
  t.runs = reinterpret_cast<Run*>(arena.take_ints(4 * size));
  t.segments = reinterpret_cast<Segment*>(arena.take_ints(3 * size));
  t.k = reinterpret_cast<typename Triplets<S>::Index*>(arena.take(stride));
  for (Column<S>* column : {&t.cosine, &t.a, &t.b, &t.ff, &t.sine2, &t.q, &t.inverse_b, &t.f_b, &t.d_b, &t.q_f, &t.q_d,
                            &t.v0, &t.v1, &t.v2, &t.v_c, &t.along_k, &t.across})
    take_column(arena, size, *column);
  take_column(arena, static_cast<std::size_t>(plan.most_shells) * stride, t.shells);
  take_column(arena, static_cast<std::size_t>(plan.most_angles) * stride, t.angles);
  take_column(arena, static_cast<std::size_t>(plan.most_angles) * stride, t.slopes);
  const std::int32_t cells = (plan.most_cells > plan.most_radial ? plan.most_cells : plan.most_radial) + kWidth<S>;
  take_column(arena, static_cast<std::size_t>(cells * kWidth<S>), t.sums);
  t.weights = arena.take(static_cast<std::size_t>(plan.most_cells));
}

// ---- the neighbours of a family

template <typename T>
inline bool same_neighbors(const FamilyData<T>& a, const FamilyData<T>& b) {
  return a.weights == b.weights && a.cutoff.kind == b.cutoff.kind && a.cutoff.low == b.cutoff.low &&
         a.cutoff.high == b.cutoff.high && a.cutoff.inner == b.cutoff.inner && a.cutoff.gamma == b.cutoff.gamma;
}

template <typename S>
void select_within(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, const Neighbors<S>& row,
                   Within<S>& to) {
  using U = plain_t<S>;
  const math::Cutoff<U> cutoff = cutoff_of(family.cutoff);
  std::int32_t n = 0;
  to.first[0] = 0;
  for (std::int32_t s = 0; s < plan.n_species; ++s) {
    const U weight = family.weights ? family.weights[s] : U(1);
    for (std::int32_t i = row.first[s]; i < row.first[s + 1]; i += kWidth<S>) {
      const S r = row.r.load(i);
      const auto v = math::value(r);
      const unsigned bits = math::bits_of(before<S>(i, row.first[s + 1]) & (v < cutoff.high) & (v > cutoff.low));
      const Jet<S> fc = math::cutoff_value(r, cutoff);
      to.x.compress(n, row.x.load(i), bits);
      to.y.compress(n, row.y.load(i), bits);
      to.z.compress(n, row.z.load(i), bits);
      to.r.compress(n, r, bits);
      to.inverse_r.compress(n, row.inverse_r.load(i), bits);
      to.f.compress(n, weight * fc.f, bits);
      to.d.compress(n, weight * fc.d, bits);
      for (unsigned rest = bits; rest != 0; rest &= rest - 1) {
        to.place[n] = to.index[n] = i + __builtin_ctz(rest);
        ++n;
      }
    }
    to.first[s + 1] = n;
  }
  for (const Column<S>* column : {&to.x, &to.y, &to.z, &to.r, &to.inverse_r, &to.f, &to.d}) pad(*column, n);
}

// ---- listing

// What the triplets of a run have in common, in all lanes.
template <typename S>
struct First {
  First(const Within<S>& w, std::int32_t j)
      : x(broadcast(w.x.at(j))),
        y(broadcast(w.y.at(j))),
        z(broadcast(w.z.at(j))),
        r(broadcast(w.r.at(j))),
        inverse_r(broadcast(w.inverse_r.at(j))),
        f(broadcast(w.f.at(j))) {}
  S x, y, z, r, inverse_r, f;
};

// Lists the triplets (j, k .. k + width): what they have that costs little, packed to the lanes that are kept.
template <FunctionType kShell, bool kAdjoint, bool kSine, typename S>
[[gnu::always_inline]] inline void append_pack(const Within<S>& w, const First<S>& j, std::int32_t k,
                                               const math::Mask<plain_t<S>>& valid, plain_t<S> squared_cutoff,
                                               Triplets<S>& t) {
  const S x = w.x.load(k), y = w.y.load(k), z = w.z.load(k);
  unsigned bits = math::bits_of(valid);
  if constexpr (kShell == FunctionType::narrow) {
    const S dx = x - j.x, dy = y - j.y, dz = z - j.z;
    const S q2 = dx * dx + dy * dy + dz * dz;
    bits &= math::bits_of(math::value(q2) < squared_cutoff);
    t.q.compress(t.n, q2, bits);
  }
  const S b = w.r.load(k), inverse_b = w.inverse_r.load(k), inverse = j.inverse_r * inverse_b;
  t.cosine.compress(t.n, (j.x * x + j.y * y + j.z * z) * inverse, bits);
  t.a.store(t.n, j.r);
  t.b.compress(t.n, b, bits);
  if constexpr (kSine) {
    const S nx = j.y * z - j.z * y, ny = j.z * x - j.x * z, nz = j.x * y - j.y * x;
    t.sine2.compress(t.n, (nx * nx + ny * ny + nz * nz) * (inverse * inverse), bits);  // 1 - cos^2, not cancelled
  }
  if constexpr (kAdjoint) {
    t.inverse_b.compress(t.n, inverse_b, bits);
    t.f_b.compress(t.n, w.f.load(k), bits);
    t.d_b.compress(t.n, w.d.load(k), bits);
  } else {
    t.ff.compress(t.n, j.f * w.f.load(k), bits);
  }
  math::compress_lanes(t.k + t.n, w.place + k, bits);
  t.n += math::count_bits(bits);
}

// Lists the triplets of the groups [from, to) of a family; flush() works off what is listed whenever the list is full.
template <FunctionType kShell, bool kAdjoint, bool kSine, typename S, typename Flush>
void list_triplets(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, std::int32_t from,
                   std::int32_t to, const Within<S>& w, Triplets<S>& t, Flush&& flush) {
  const auto squared_cutoff = family.cutoff.high * family.cutoff.high;
  t.n = t.n_runs = t.n_segments = 0;
  for (std::int32_t g = from; g < to; ++g) {
    const Range first = range_of(w, plan.groups[g].a, plan.n_species);
    const Range second = range_of(w, plan.groups[g].b, plan.n_species);
    const bool same = plan.groups[g].a == plan.groups[g].b;
    std::int32_t start = t.n;
    const auto close_segment = [&] {
      if (t.n > start) t.segments[t.n_segments++] = {g, start, t.n};
    };
    for (std::int32_t j = first.begin; j < first.end; ++j) {
      std::int32_t run = t.n;
      const First<S> common(w, j);
      const auto close_run = [&] {
        if (t.n > run) t.runs[t.n_runs++] = {w.index[j], j, run, t.n};
      };
      for (std::int32_t k = same ? j + 1 : second.begin; k < second.end; k += kWidth<S>) {
        if (t.n + kWidth<S> > kChunk) {
          close_run();
          close_segment();
          flush();
          t.n = t.n_runs = t.n_segments = 0;
          start = run = 0;
        }
        append_pack<kShell, kAdjoint, kSine>(w, common, k, before<S>(k, second.end), squared_cutoff, t);
      }
      close_run();
    }
    close_segment();
  }
  if (t.n > 0) flush();
}

template <FunctionType kShell, bool kAdjoint, typename S, typename Flush>
void list_groups(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, std::int32_t from,
                 std::int32_t to, const Within<S>& w, Triplets<S>& t, Flush&& flush) {
  if (family.angle_kind == AngleKind::behler)
    list_triplets<kShell, kAdjoint, false>(plan, family, from, to, w, t, flush);
  else
    list_triplets<kShell, kAdjoint, true>(plan, family, from, to, w, t, flush);
}

// ---- shells and angles of the whole list

template <FunctionType kShell, typename S>
inline S shifted_square(const S& a, const S& b, const S& q, plain_t<S> shift) {
  const S x = a - shift, y = b - shift, z = q - shift;
  const S square = x * x + y * y;
  return kShell == FunctionType::narrow ? square + z * z : square;
}

template <FunctionType kShell, bool kAdjoint, typename S>
void evaluate_shells(const FamilyData<plain_t<S>>& family, Triplets<S>& t) {
  using U = plain_t<S>;
  const math::Cutoff<U> cutoff = cutoff_of(family.cutoff);
  for (std::int32_t i = 0; i < t.n; i += kWidth<S>) {
    const S a = t.a.load(i), b = t.b.load(i);
    S q(U(0)), square = a * a + b * b;
    if constexpr (kShell == FunctionType::narrow) {
      square = square + t.q.load(i);
      q = sqrt(t.q.load(i));
      const Jet<S> fc = masked_cutoff(q, cutoff, before<S>(i, t.n));
      t.q.store(i, q);
      if constexpr (kAdjoint) {
        t.q_f.store(i, fc.f);
        t.q_d.store(i, fc.d);
      } else {
        t.ff.store(i, t.ff.load(i) * fc.f);
      }
    }
    for (std::int32_t s = 0; s < family.n_shells; ++s) {
      const U eta = family.shells[2 * s], shift = family.shells[2 * s + 1];
      if constexpr (kShell == FunctionType::ani)
        t.shells.store(s * t.kStride + i, math::gaussian(U(0.5) * (a + b), eta, shift).f);
      else
        t.shells.store(s * t.kStride + i,
                       exp((-eta) * (shift == U(0) ? square : shifted_square<kShell>(a, b, q, shift))));
    }
  }
}

template <bool kAdjoint, typename S>
void evaluate_angles(const FamilyData<plain_t<S>>& family, Triplets<S>& t) {
  for (std::int32_t z = 0; z < family.n_angles; ++z) {
    const plain_t<S>* const p = family.angles + 4 * z;
    for (std::int32_t i = 0; i < t.n; i += kWidth<S>) {
      const S c = t.cosine.load(i);
      Jet<S> angle;
      if (family.angle_kind == AngleKind::ani)
        angle = math::ani_angle(c, math::scaled_sine(t.sine2.load(i), p[3]), p[0], p[1], p[2], p[3]);
      else if (family.angle_kind == AngleKind::behler)
        angle = math::behler_angle(c, p[0], p[1]);
      else
        angle = math::compact_angle(c, math::scaled_sine(t.sine2.load(i), plain_t<S>(1)),
                                    static_cast<math::CutoffKind>(static_cast<int>(p[0])), p[1], p[2], p[3]);
      t.angles.store(z * t.kStride + i, angle.f);
      if constexpr (kAdjoint) t.slopes.store(z * t.kStride + i, angle.d);
    }
  }
}

template <FunctionType kShell, bool kAdjoint, typename S>
void evaluate(const FamilyData<plain_t<S>>& family, Triplets<S>& t) {
  evaluate_shells<kShell, kAdjoint>(family, t);
  evaluate_angles<kAdjoint>(family, t);
}

// ---- forward: sums of shell * angle over the segments

template <typename S, typename Out>
void sum_segments(const PlanData<plain_t<S>>& plan, const FamilyData<plain_t<S>>& family, Triplets<S>& t, Out&& add) {
  using U = plain_t<S>;
  for (std::int32_t i = 0; i < t.n; i += kWidth<S>) {
    const S ff = t.ff.load(i);
    for (std::int32_t s = 0; s < family.n_shells; ++s)
      t.shells.store(s * t.kStride + i, t.shells.load(s * t.kStride + i) * ff);
  }
  for (std::int32_t n = 0; n < t.n_segments; ++n) {
    const Segment& segment = t.segments[n];
    const GroupData<U>& group = plan.groups[segment.group];
    const std::int32_t last = segment.end - kWidth<S>;
    for (std::int32_t s = 0; s < family.n_shells; ++s)
      for (std::int32_t c = group.shell_first[s]; c < group.shell_first[s + 1]; ++c) {
        const std::int32_t shell = s * t.kStride, angle = group.angle[c] * t.kStride;
        S sum(U(0));
        std::int32_t i = segment.begin;
        for (; i <= last; i += kWidth<S>) sum += t.shells.load(shell + i) * t.angles.load(angle + i);
        if (i < segment.end)
          sum += math::select(before<S>(i, segment.end), t.shells.load(shell + i) * t.angles.load(angle + i), S(U(0)));
        t.sums.store(c * kWidth<S>, sum);
      }
    add(group, t.sums);
  }
}

// ---- adjoint

// v0, v1, v2, v_c of the segment's triplets for cotangents g of its cells. A pack that reaches beyond the segment's end
// writes numbers that the next segment then overwrites.
template <typename S>
void contract_segment(const FamilyData<plain_t<S>>& family, const GroupData<plain_t<S>>& group, const Segment& segment,
                      const plain_t<S>* g, Triplets<S>& t) {
  using U = plain_t<S>;
  for (std::int32_t c = 0; c < group.n_cells; ++c) t.weights[c] = g[group.columns[c]] * group.prefactors[c];
  for (std::int32_t i = segment.begin; i < segment.end; i += kWidth<S>) {
    S v0(U(0)), v1(U(0)), v2(U(0)), v_c(U(0));
    for (std::int32_t s = 0; s < family.n_shells; ++s) {
      S w(U(0)), w_c(U(0));
      for (std::int32_t c = group.shell_first[s]; c < group.shell_first[s + 1]; ++c) {
        const std::int32_t angle = group.angle[c] * t.kStride + i;
        w += t.weights[c] * t.angles.load(angle);
        w_c += t.weights[c] * t.slopes.load(angle);
      }
      const U eta = family.shells[2 * s], shift = family.shells[2 * s + 1];
      const S shell = t.shells.load(s * t.kStride + i), v = w * shell;
      v0 += v;
      v1 += eta * v;
      v2 += (eta * shift) * v;
      v_c += w_c * shell;
    }
    t.v0.store(i, v0);
    t.v1.store(i, v1);
    t.v2.store(i, v2);
    t.v_c.store(i, v_c);
  }
}

// The same for one cell of shell s alone.
template <typename S>
void take_cell(const FamilyData<plain_t<S>>& family, const GroupData<plain_t<S>>& group, std::int32_t s,
               std::int32_t cell, Triplets<S>& t) {
  const plain_t<S> eta = family.shells[2 * s], shift = family.shells[2 * s + 1], prefactor = group.prefactors[cell];
  for (std::int32_t i = 0; i < t.n; i += kWidth<S>) {
    const S shell = prefactor * t.shells.load(s * t.kStride + i),
            v = shell * t.angles.load(group.angle[cell] * t.kStride + i);
    t.v0.store(i, v);
    t.v1.store(i, eta * v);
    t.v2.store(i, (eta * shift) * v);
    t.v_c.store(i, shell * t.slopes.load(group.angle[cell] * t.kStride + i));
  }
}

// Turns what was contracted into the parts of dE/dD_j = along_j D_j + across D_k and its like for k, and adds them.
// With E = sum of v0 f(a) f(b) f(q): dE/da = v0 f'(a) f(b) f(q) + f f f (-2) (a v1 - v2), and so on.
template <FunctionType kShell, typename S>
void drain_run(const Run& run, const Within<S>& w, const Quad<S>* D, const Gradient<S>& to, Triplets<S>& t) {
  using U = plain_t<S>;
  constexpr bool kNarrow = kShell == FunctionType::narrow;
  const S a = broadcast(w.r.at(run.within)), inverse_a = broadcast(w.inverse_r.at(run.within));
  const S f_a = broadcast(w.f.at(run.within)), d_a = broadcast(w.d.at(run.within));
  S along_j(U(0));
  for (std::int32_t i = run.begin; i < run.end; i += kWidth<S>) {
    const S b = t.b.load(i), inverse_b = t.inverse_b.load(i), f_b = t.f_b.load(i), d_b = t.d_b.load(i);
    const S v0 = t.v0.load(i), v1 = t.v1.load(i), v2 = t.v2.load(i), c = t.cosine.load(i);
    S f_bq = f_b, f_aq = f_a, along_q(U(0));
    if constexpr (kNarrow) {
      const S f_q = t.q_f.load(i);
      f_bq = f_b * f_q;
      f_aq = f_a * f_q;
    }
    const S ff = f_a * f_bq;
    if constexpr (kNarrow) {
      const S q = t.q.load(i);
      along_q = (v0 * (f_a * f_b) * t.q_d.load(i) - (U(2) * ff) * (q * v1 - v2)) / q;
    }
    S in_a = v0 * d_a * f_bq, in_b = v0 * d_b * f_aq;
    if constexpr (kShell == FunctionType::ani) {
      const S slope = ff * (U(0.5) * (a + b) * v1 - v2);
      in_a = in_a - slope;
      in_b = in_b - slope;
    } else {
      in_a = in_a - (U(2) * ff) * (a * v1 - v2);
      in_b = in_b - (U(2) * ff) * (b * v1 - v2);
    }
    const S in_c = ff * t.v_c.load(i), turn = c * in_c;
    const S along = (in_a - turn * inverse_a) * inverse_a + along_q;
    along_j += math::select(before<S>(i, run.end), along, S(U(0)));
    t.along_k.store(i, (in_b - turn * inverse_b) * inverse_b + along_q);
    t.across.store(i, in_c * (inverse_a * inverse_b) - along_q);
  }
  Quad<S> sum = Quad<S>::zero();
  const Quad<S> D_j = D[run.j];
  for (std::int32_t i = run.begin; i < run.end; ++i) {
    const auto k = static_cast<std::int32_t>(t.k[i]);
    const lane_t<S> across = t.across.at(i);
    to.along.set(k, to.along.at(k) + t.along_k.at(i));
    to.across[k].add_scaled(across, D_j);
    sum.add_scaled(across, D[k]);
  }
  to.across[run.j].add(sum);
  to.along.set(run.j, to.along.at(run.j) + lane_sum(along_j));
}

}  // namespace rows
}  // namespace AC_ISA
}  // namespace atomcore
