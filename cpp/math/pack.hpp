// Packs: as many numbers as a register of the instruction set holds, on which the formulas of cpp/math run lane by
// lane. Host only; the compiler's vector extensions make them registers of AVX-512, AVX2, SSE2 or NEON.
#pragma once

#include <cstdint>
#include <cstring>

#include "math/dual.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace atomcore {
inline namespace AC_ISA {
namespace math {

#if defined(__AVX512F__)
constexpr int kPackBytes = 64;
#elif defined(__AVX2__)
constexpr int kPackBytes = 32;
#else
constexpr int kPackBytes = 16;
#endif

template <typename T>
struct pack_types;
template <>
struct pack_types<float> {
  using integer = std::int32_t;
  typedef float vector __attribute__((vector_size(kPackBytes), may_alias));
  typedef std::int32_t integers __attribute__((vector_size(kPackBytes), may_alias));
};
template <>
struct pack_types<double> {
  using integer = std::int64_t;
  typedef double vector __attribute__((vector_size(kPackBytes), may_alias));
  typedef std::int64_t integers __attribute__((vector_size(kPackBytes), may_alias));
};

// One truth value a lane: all bits set or none.
template <typename T>
struct Mask {
  typename pack_types<T>::integers v;
};

template <typename T>
struct Pack {
  using Vector = typename pack_types<T>::vector;
  using Integers = typename pack_types<T>::integers;
  static constexpr int kWidth = kPackBytes / static_cast<int>(sizeof(T));
  Vector v;
  Pack() = default;
  Pack(T x) : v(x - Vector{}) {}  // implicit, so that formulas mix packs and numbers
  Pack(Vector x) : v(x) {}
};

template <typename T>
struct plain<Pack<T>> {
  using type = T;
};
template <typename T>
inline Pack<T> value(const Pack<T>& x) {
  return x;
}

template <typename T>
inline Pack<T> load_pack(const T* from) {
  Pack<T> x;
  std::memcpy(&x.v, from, sizeof x.v);
  return x;
}
template <typename T>
inline void store_pack(T* to, const Pack<T>& x) {
  std::memcpy(to, &x.v, sizeof x.v);
}

// Stores a pack around the caches, for results that nobody reads soon: `to` lies on a multiple of kPackBytes.
// end_of_streams() comes before anybody else reads them.
template <typename T>
inline void stream_pack(T* to, const Pack<T>& x) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(x.v));
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(x.v));
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(to), reinterpret_cast<__m128i>(x.v));
#else
  store_pack(to, x);
#endif
}
inline void end_of_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

#define AC_PACK_OPERATOR(op)                                         \
  template <typename T>                                              \
  inline Pack<T> operator op(const Pack<T>& a, const Pack<T>& b) {   \
    return a.v op b.v;                                               \
  }                                                                  \
  template <typename T>                                              \
  inline Pack<T> operator op(const Pack<T>& a, plain_t<Pack<T>> b) { \
    return a.v op Pack<T>(b).v;                                      \
  }                                                                  \
  template <typename T>                                              \
  inline Pack<T> operator op(plain_t<Pack<T>> a, const Pack<T>& b) { \
    return Pack<T>(a).v op b.v;                                      \
  }
AC_PACK_OPERATOR(+)
AC_PACK_OPERATOR(-)
AC_PACK_OPERATOR(*)
AC_PACK_OPERATOR(/)
#undef AC_PACK_OPERATOR
template <typename T>
inline Pack<T> operator-(const Pack<T>& a) {
  return -a.v;
}
template <typename T>
inline Pack<T>& operator+=(Pack<T>& a, const Pack<T>& b) {
  a.v += b.v;
  return a;
}

#define AC_PACK_COMPARISON(op)                                       \
  template <typename T>                                              \
  inline Mask<T> operator op(const Pack<T>& a, const Pack<T>& b) {   \
    return {a.v op b.v};                                             \
  }                                                                  \
  template <typename T>                                              \
  inline Mask<T> operator op(const Pack<T>& a, plain_t<Pack<T>> b) { \
    return {a.v op Pack<T>(b).v};                                    \
  }
AC_PACK_COMPARISON(<)
AC_PACK_COMPARISON(<=)
AC_PACK_COMPARISON(>)
AC_PACK_COMPARISON(>=)
AC_PACK_COMPARISON(==)
AC_PACK_COMPARISON(!=)
#undef AC_PACK_COMPARISON

template <typename T>
inline Mask<T> operator&(const Mask<T>& a, const Mask<T>& b) {
  return {a.v & b.v};
}

template <typename T>
inline Pack<T> select(const Mask<T>& condition, const Pack<T>& a, const Pack<T>& b) {
  return condition.v ? a.v : b.v;
}
template <typename T>
inline Dual<Pack<T>> select(const Mask<T>& condition, const Dual<Pack<T>>& a, const Dual<Pack<T>>& b) {
  return {select(condition, a.v, b.v), select(condition, a.d, b.d)};
}

template <typename T>
inline Pack<T> sqrt(const Pack<T>& x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 8)
    return Pack<T>(
        reinterpret_cast<typename Pack<T>::Vector>(_mm512_maskz_sqrt_pd(0xff, reinterpret_cast<__m512d>(x.v))));
  else
    return Pack<T>(
        reinterpret_cast<typename Pack<T>::Vector>(_mm512_maskz_sqrt_ps(0xffff, reinterpret_cast<__m512>(x.v))));
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8)
    return Pack<T>(reinterpret_cast<typename Pack<T>::Vector>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(x.v))));
  else
    return Pack<T>(reinterpret_cast<typename Pack<T>::Vector>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x.v))));
#else
  Pack<T> y;
  for (int l = 0; l < Pack<T>::kWidth; ++l) y.v[l] = std::sqrt(x.v[l]);
  return y;
#endif
}

// The lanes 0 .. kWidth - 1 as numbers.
template <typename T>
inline Pack<T> lane_indices() {
  Pack<T> x;
  for (int l = 0; l < Pack<T>::kWidth; ++l) x.v[l] = static_cast<T>(l);
  return x;
}

// A fixed tree of additions.
template <typename T>
inline T sum_of_lanes(const Pack<T>& x) {
  T lane[Pack<T>::kWidth];
  store_pack(lane, x);
  for (int width = Pack<T>::kWidth / 2; width > 0; width /= 2)
    for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
  return lane[0];
}

// Lane l of the result is lane from[l] of a and, behind the last of them, of b.
template <typename T>
[[gnu::always_inline]] inline Pack<T> shuffled(const Pack<T>& a, const Pack<T>& b, typename Pack<T>::Integers from) {
#if defined(__clang__)  // it has no such builtin
  constexpr int n = Pack<T>::kWidth;
  typename Pack<T>::Vector lanes{};
  for (int l = 0; l < n; ++l) lanes[l] = from[l] < n ? a.v[from[l]] : b.v[from[l] - n];
  return Pack<T>(lanes);
#else
  return Pack<T>(__builtin_shuffle(a.v, b.v, from));
#endif
}

// Lane l of the result is the sum over the lanes of x[l]: halves of pairs of packs are added until one pack is left.
template <typename T>
inline Pack<T> sums_of_packs(Pack<T> (&x)[Pack<T>::kWidth]) {
  using Integers = typename Pack<T>::Integers;
  constexpr int n = Pack<T>::kWidth;
#pragma GCC unroll 4
  for (int half = n / 2; half > 0; half /= 2) {
    Integers own, other;  // lanes of the first pack, or of the second where bit `half` of the lane is set
    for (int l = 0; l < n; ++l) {
      own[l] = (l & half) ? n + l : l;
      other[l] = (l & half) ? n + (l ^ half) : (l ^ half);
    }
#pragma GCC unroll 8
    for (int r = 0; r < half; ++r) x[r] = shuffled(x[r], x[r + half], own) + shuffled(x[r], x[r + half], other);
  }
  return x[0];
}

// Rows become columns: halves of pairs of packs change places.
template <typename T>
[[gnu::always_inline]] inline void transpose(Pack<T> (&x)[Pack<T>::kWidth]) {
  using Integers = typename Pack<T>::Integers;
  constexpr int n = Pack<T>::kWidth;
#pragma GCC unroll 4
  for (int half = n / 2; half > 0; half /= 2) {
    Integers first{}, second{};
    for (int l = 0; l < n; ++l) {
      first[l] = (l & half) ? n + (l ^ half) : l;
      second[l] = (l & half) ? n + l : (l ^ half);
    }
#pragma GCC unroll 16
    for (int r = 0; r < n; ++r) {
      if (r & half) continue;
      const Pack<T> a = x[r], b = x[r + half];
      x[r] = shuffled(a, b, first);
      x[r + half] = shuffled(a, b, second);
    }
  }
}

// Bit l of the result is lane l of the mask.
template <typename T>
inline unsigned bits_of(const Mask<T>& mask) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 8)
    return _mm512_movepi64_mask(reinterpret_cast<__m512i>(mask.v));
  else
    return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask.v));
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 8)
    return static_cast<unsigned>(_mm256_movemask_pd(reinterpret_cast<__m256d>(mask.v)));
  else
    return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask.v)));
#elif defined(__SSE2__)
  if constexpr (sizeof(T) == 8)
    return static_cast<unsigned>(_mm_movemask_pd(reinterpret_cast<__m128d>(mask.v)));
  else
    return static_cast<unsigned>(_mm_movemask_ps(reinterpret_cast<__m128>(mask.v)));
#else
  typename pack_types<T>::integer lane[Pack<T>::kWidth];
  std::memcpy(lane, &mask.v, sizeof lane);
  unsigned bits = 0;
  for (int l = 0; l < Pack<T>::kWidth; ++l) bits |= lane[l] != 0 ? 1u << l : 0u;
  return bits;
#endif
}
inline int count_bits(unsigned bits) { return __builtin_popcount(bits); }

#if defined(__AVX2__) && !defined(__AVX512F__)
// For every mask of 8 lanes the positions of its set bits, as indices of a permutation.
struct CompressTable {
  alignas(32) std::int32_t index[256][8];
  constexpr CompressTable() : index{} {
    for (int bits = 0; bits < 256; ++bits) {
      int n = 0;
      for (int l = 0; l < 8; ++l)
        if (bits >> l & 1) index[bits][n++] = l;
    }
  }
};
static constexpr CompressTable kCompress;

// The same for 4 lanes of 64 bits: both halves of each.
inline unsigned doubled_bits(unsigned bits) {
  const unsigned spread = (bits & 1u) | (bits & 2u) << 1 | (bits & 4u) << 2 | (bits & 8u) << 3;
  return spread | spread << 1;
}
#endif

// Writes the lanes whose bit is set one after the other, and something behind them: a whole pack is written.
template <typename T>
inline void compress_store(T* to, const Pack<T>& x, unsigned bits) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 8)
    _mm512_storeu_pd(to, _mm512_maskz_compress_pd(static_cast<__mmask8>(bits), reinterpret_cast<__m512d>(x.v)));
  else
    _mm512_storeu_ps(to, _mm512_maskz_compress_ps(static_cast<__mmask16>(bits), reinterpret_cast<__m512>(x.v)));
#elif defined(__AVX2__)
  const unsigned lanes = sizeof(T) == 8 ? doubled_bits(bits) : bits;
  const __m256i index = _mm256_load_si256(reinterpret_cast<const __m256i*>(kCompress.index[lanes]));
  const __m256i moved = _mm256_permutevar8x32_epi32(reinterpret_cast<__m256i>(x.v), index);
  std::memcpy(to, &moved, sizeof moved);
#else
  T lane[Pack<T>::kWidth];
  store_pack(lane, x);
  int n = 0;
  for (int l = 0; l < Pack<T>::kWidth; ++l) {
    std::memcpy(to + n, lane + l, sizeof(T));
    n += static_cast<int>(bits >> l & 1u);
  }
#endif
}

// The same for whole numbers as wide as a lane.
inline void compress_lanes(std::int32_t* to, const std::int32_t* from, unsigned bits) {
  compress_store(reinterpret_cast<float*>(to), load_pack(reinterpret_cast<const float*>(from)), bits);
}
inline void compress_lanes(std::int64_t* to, const std::int64_t* from, unsigned bits) {
  compress_store(reinterpret_cast<double*>(to), load_pack(reinterpret_cast<const double*>(from)), bits);
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
