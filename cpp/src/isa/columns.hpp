// Lists of numbers, and of dual numbers as two lists, that are read and written a pack at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "math/pack_functions.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace rows {

using math::Dual;
using math::Pack;
using math::plain_t;

// The scalar type of a lane.
template <typename S>
struct lane;
template <typename T>
struct lane<Pack<T>> {
  using type = T;
};
template <typename T>
struct lane<Dual<Pack<T>>> {
  using type = Dual<T>;
};
template <typename S>
using lane_t = typename lane<S>::type;

template <typename S>
constexpr int kWidth = Pack<plain_t<S>>::kWidth;

template <typename S>
struct Column;

template <typename T>
struct Column<Pack<T>> {
  T* v;
  Pack<T> load(int i) const { return math::load_pack(v + i); }
  void store(int i, const Pack<T>& x) const { math::store_pack(v + i, x); }
  void compress(int i, const Pack<T>& x, unsigned bits) const { math::compress_store(v + i, x, bits); }
  T at(int i) const { return v[i]; }
  void set(int i, T x) const { v[i] = x; }
};

template <typename T>
struct Column<Dual<Pack<T>>> {
  T *v, *d;
  Dual<Pack<T>> load(int i) const { return {math::load_pack(v + i), math::load_pack(d + i)}; }
  void store(int i, const Dual<Pack<T>>& x) const {
    math::store_pack(v + i, x.v);
    math::store_pack(d + i, x.d);
  }
  void compress(int i, const Dual<Pack<T>>& x, unsigned bits) const {
    math::compress_store(v + i, x.v, bits);
    math::compress_store(d + i, x.d, bits);
  }
  Dual<T> at(int i) const { return {v[i], d[i]}; }
  void set(int i, const Dual<T>& x) const {
    v[i] = x.v;
    d[i] = x.d;
  }
};

// Every lane the same number.
template <typename T>
inline Pack<T> broadcast(T x) {
  return Pack<T>(x);
}
template <typename T>
inline Dual<Pack<T>> broadcast(const Dual<T>& x) {
  return {Pack<T>(x.v), Pack<T>(x.d)};
}

// The sums over lanes of n packs that stand at sums.load(i * width), handed to add(i, sum).
template <typename T, typename Add>
inline void add_lane_sums(const Column<Pack<T>>& sums, int n, Add&& add) {
  constexpr int width = Pack<T>::kWidth;
  for (int i = 0; i < n; i += width) {
    Pack<T> x[width];
    for (int l = 0; l < width; ++l) x[l] = sums.load((i + l) * width);
    T total[width];
    math::store_pack(total, math::sums_of_packs(x));
    for (int l = 0; l < width && i + l < n; ++l) add(i + l, total[l]);
  }
}
template <typename T, typename Add>
inline void add_lane_sums(const Column<Dual<Pack<T>>>& sums, int n, Add&& add) {
  add_lane_sums(Column<Pack<T>>{sums.d}, n, add);  // the tangents are what is wanted
}

template <typename T>
inline T lane_sum(const Pack<T>& x) {
  return math::sum_of_lanes(x);
}
template <typename T>
inline Dual<T> lane_sum(const Dual<Pack<T>>& x) {
  return {math::sum_of_lanes(x.v), math::sum_of_lanes(x.d)};
}

// Hands out pieces of one block of memory, each on a border of 64 bytes. Without a block it only counts.
template <typename T>
struct Arena {
  T* base;
  std::size_t used;
  T* take(std::size_t n) {
    constexpr std::size_t line = 64 / sizeof(T);
    T* const piece = base ? base + used : nullptr;
    used += (n + line - 1) / line * line;
    return piece;
  }
  std::int32_t* take_ints(std::size_t n) {
    return reinterpret_cast<std::int32_t*>(take(n * sizeof(std::int32_t) / sizeof(T) + 1));
  }
};

template <typename T>
inline void take_column(Arena<T>& arena, std::size_t n, Column<Pack<T>>& column) {
  column.v = arena.take(n + kWidth<Pack<T>>);  // the last pack may start at the last number
}
template <typename T>
inline void take_column(Arena<T>& arena, std::size_t n, Column<Dual<Pack<T>>>& column) {
  column.v = arena.take(n + kWidth<Pack<T>>);
  column.d = arena.take(n + kWidth<Pack<T>>);
}

// Four numbers that move together: a vector in space and one lane to spare.
template <typename T>
struct quad_types;
template <>
struct quad_types<float> {
  typedef float vector __attribute__((vector_size(16), may_alias));
};
template <>
struct quad_types<double> {
  typedef double vector __attribute__((vector_size(32), may_alias));
};

template <typename S>
struct Quad;

template <typename T>
struct Quad<Pack<T>> {
  typename quad_types<T>::vector v;
  static Quad zero() { return {typename quad_types<T>::vector{}}; }
  void add_scaled(T s, const Quad& x) { v += s * x.v; }
  void add(const Quad& x) { v += x.v; }
};

template <typename T>
struct Quad<Dual<Pack<T>>> {
  typename quad_types<T>::vector v, d;
  static Quad zero() { return {typename quad_types<T>::vector{}, typename quad_types<T>::vector{}}; }
  void add_scaled(const Dual<T>& s, const Quad& x) {
    d += s.v * x.d + s.d * x.v;
    v += s.v * x.v;
  }
  void add(const Quad& x) {
    v += x.v;
    d += x.d;
  }
};

template <typename T>
inline void set_quad(Quad<Pack<T>>& quad, T x, T y, T z) {
  const typename quad_types<T>::vector v = {x, y, z, T(0)};
  quad.v = v;
}
template <typename T>
inline void set_quad(Quad<Dual<Pack<T>>>& quad, const Dual<T>& x, const Dual<T>& y, const Dual<T>& z) {
  const typename quad_types<T>::vector v = {x.v, y.v, z.v, T(0)}, d = {x.d, y.d, z.d, T(0)};
  quad.v = v;
  quad.d = d;
}

}  // namespace rows
}  // namespace AC_ISA
}  // namespace atomcore
