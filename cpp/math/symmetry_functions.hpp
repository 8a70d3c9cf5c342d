// The factors of which every symmetry function is a product (Behler, J. Chem. Phys. 134, 074106 (2011); Smith et al.,
// Chem. Sci. 8, 3192 (2017); Bircher et al., Mach. Learn.: Sci. Technol. 2, 035026 (2021)), each with its derivative in
// its own variable:
//
//   radial            exp(-eta (r - shift)^2) fc(r)
//   radial cosine     cos(kappa r) fc(r)
//   narrow (G4)       2^(1-zeta) (1 + lambda cos)^zeta exp(-eta [(a-s)^2 + (b-s)^2 + (q-s)^2]) fc(a) fc(b) fc(q)
//   wide (G5)         the same without q
//   ANI angular       2^(1-zeta) (1 + cos(theta - theta_s))^zeta exp(-eta ((a+b)/2 - s)^2) fc(a) fc(b)
//   compact           C(r);  C(theta) C(a) C(b) [C(q)]
//
// a, b are the distances from the centre to the two neighbours, q the distance between these, theta the angle, fc a
// cutoff function and C a window of compact support.
#pragma once

#include <limits>

#include "math/dual.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace math {

// A function core(x) that falls from 1 at x = 0 (tanh3: 0.44) to 0 at x = 1 (hard: 1).
//   hard              1
//   cosine            (1 + cos(pi x)) / 2
//   tanh3             tanh(1 - x)^3, and the same divided by its value at 0
//   exponential       exp(1 - 1 / (1 - x^2))
//   poly1 .. poly4    the polynomial with the first 1 .. 4 derivatives 0 at both ends
//   polynomial        1 + gamma x^(gamma + 1) - (gamma + 1) x^gamma
//                     (Khorshidi and Peterson, Comput. Phys. Commun. 207, 310 (2016))
//   ..._asymmetric    the same of x (2 - x)
//   untruncated_cosine
//                     (1 + cos(3 pi x)) / 2: the cosine of a third of the radius and its next wave, as codes have it
//                     that forget to cut it
enum class CutoffKind : int {
  cosine = 0,
  tanh3 = 1,
  polynomial = 2,
  hard = 3,
  tanh3_normalized = 4,
  exponential = 5,
  poly1 = 6,
  poly2 = 7,
  poly3 = 8,
  poly4 = 9,
  exponential_asymmetric = 10,
  poly1_asymmetric = 11,
  poly2_asymmetric = 12,
  poly3_asymmetric = 13,
  poly4_asymmetric = 14,
  untruncated_cosine = 15
};
constexpr int kCutoffKinds = 16;

AC_HD constexpr bool is_asymmetric(CutoffKind kind) {
  return kind >= CutoffKind::exponential_asymmetric && kind <= CutoffKind::poly4_asymmetric;
}

// The kind that an asymmetric one is made of; every other kind itself.
AC_HD constexpr CutoffKind symmetric(CutoffKind kind) {
  constexpr int offset =
      static_cast<int>(CutoffKind::exponential_asymmetric) - static_cast<int>(CutoffKind::exponential);
  return is_asymmetric(kind) ? static_cast<CutoffKind>(static_cast<int>(kind) - offset) : kind;
}

// core(x) of the symmetric kinds, 0 <= x <= 1. The polynomials stand as products that vanish at 1 without cancellation.
template <typename T>
AC_HD Jet<T> symmetric_core(CutoffKind kind, const T& x, plain_t<T> gamma) {
  using U = plain_t<T>;
  const T y = U(1) - x, y2 = y * y, x2 = x * x;
  switch (kind) {
    case CutoffKind::hard:
      return {T(1), T(0)};
    case CutoffKind::cosine:
    case CutoffKind::untruncated_cosine: {
      const U k = static_cast<U>(kind == CutoffKind::cosine ? kPi : 3 * kPi);
      const T phase = k * x;
      return {U(0.5) * (U(1) + cos(phase)), (U(-0.5) * k) * sin(phase)};
    }
    case CutoffKind::tanh3:
    case CutoffKind::tanh3_normalized: {
      const U at_0 = static_cast<U>(0.76159415595576488812);  // tanh(1)
      const U scale = kind == CutoffKind::tanh3 ? U(1) : U(1) / (at_0 * at_0 * at_0);
      const T t = tanh(y), t2 = t * t;
      return {scale * (t * t2), (U(-3) * scale) * (t2 * (U(1) - t2))};
    }
    case CutoffKind::exponential: {
      const U least = U(1) / U(800);  // where the exponential has long been 0
      T z = y * (U(1) + x);
      z = select(value(z) < least, T(least), z);
      const T f = exp(U(1) - T(1) / z);
      return {f, U(-2) * (x / (z * z) * f)};
    }
    case CutoffKind::poly1:
      return {y2 * (U(1) + U(2) * x), U(-6) * (x * y)};
    case CutoffKind::poly2:
      return {y * y2 * (U(1) + x * (U(3) + U(6) * x)), U(-30) * (x2 * y2)};
    case CutoffKind::poly3:
      return {y2 * y2 * (U(1) + x * (U(4) + x * (U(10) + U(20) * x))), U(-140) * (x * x2 * (y * y2))};
    case CutoffKind::poly4:
      return {y * y2 * y2 * (U(1) + x * (U(5) + x * (U(15) + x * (U(35) + U(70) * x)))),
              U(-630) * (x2 * x2 * (y2 * y2))};
    default: {
      const T p = power(x, gamma - U(1)), px = p * x;
      return {U(1) + (gamma * (px * x) - (gamma + U(1)) * px), (gamma * (gamma + U(1))) * (px - p)};
    }
  }
}

template <typename T>
AC_HD Jet<T> cutoff_core(CutoffKind kind, const T& x, plain_t<T> gamma) {
  using U = plain_t<T>;
  if (!is_asymmetric(kind)) return symmetric_core(kind, x, gamma);
  const Jet<T> core = symmetric_core(symmetric(kind), T(x * (U(2) - x)), gamma);
  return {core.f, core.d * (U(2) - U(2) * x)};
}

// core(x) with x = (|u| - start) * inverse_width between 0 and 1, mirrored about u = 0, and its derivative in u.
template <typename T>
AC_HD Jet<T> mirrored_core(CutoffKind kind, const T& u, plain_t<T> start, plain_t<T> inverse_width, plain_t<T> gamma) {
  using U = plain_t<T>;
  const auto below = value(u) < U(0);
  T x = inverse_width * (select(below, -u, u) - start);
  x = select(value(x) < U(0), T(0), x);
  x = select(value(x) > U(1), T(1), x);
  const Jet<T> core = cutoff_core(kind, x, gamma);
  const T slope = inverse_width * core.d;
  return {core.f, select(below, -slope, slope)};
}

// A cutoff function of r on low < r < high: 1 around the middle of the two as far as `start`, then core(x) to both
// sides. The usual cutoff has low = -high, so that its middle is r = 0; any other is a window of compact support.
template <typename U>
struct Cutoff {
  CutoffKind kind;
  U low, high;
  U mid, start, inverse_width;  // x = (|r - mid| - start) * inverse_width
  U gamma;
};

// `inner` is the part of the half width within which the function is 1.
template <typename U>
AC_HD Cutoff<U> make_cutoff(CutoffKind kind, U low, U high, U inner = U(0), U gamma = U(4)) {
  const U half = U(0.5) * (high - low), start = inner * half;
  return {kind, low, high, U(0.5) * (low + high), start, U(1) / (half - start), gamma};
}

// Right at any r; beyond `low` and `high` it is what stands at the end, so that the caller leaves out r <= low and
// r >= high.
template <typename T>
AC_HD Jet<T> cutoff_value(const T& r, const Cutoff<plain_t<T>>& cutoff) {
  return mirrored_core(cutoff.kind, T(r - cutoff.mid), cutoff.start, cutoff.inverse_width, cutoff.gamma);
}

template <typename T>
AC_HD Jet<T> gaussian(const T& r, plain_t<T> eta, plain_t<T> shift) {
  using U = plain_t<T>;
  const T x = r - shift;
  const T f = exp((-eta) * (x * x));
  return {f, (U(-2) * eta) * (x * f)};
}

template <typename T>
AC_HD Jet<T> cosine_wave(const T& r, plain_t<T> kappa) {
  const T phase = kappa * r;
  return {cos(phase), -(kappa * sin(phase))};
}

template <typename T>
AC_HD Jet<T> product(const Jet<T>& a, const Jet<T>& b) {
  return {a.f * b.f, a.d * b.f + a.f * b.d};
}

// ((1 + lambda c) / 2)^zeta and its derivative in c; twice this is Behler's 2^(1-zeta) (1 + lambda c)^zeta. For zeta <
// 1 the derivative grows without bounds where 1 + lambda c vanishes, and is 0 at that point.
template <typename T>
AC_HD Jet<T> behler_angle(const T& c, plain_t<T> zeta, plain_t<T> lambda) {
  using U = plain_t<T>;
  const T u = U(0.5) * (U(1) + lambda * c);
  const T p = power(u, zeta - U(1));
  return {p * u, (U(0.5) * zeta * lambda) * p};
}

// A constant, because code for the device may not call epsilon().
template <typename U>
constexpr U kEpsilon = std::numeric_limits<U>::epsilon();

// sqrt(1 - (scale c)^2) from sin2 = 1 - c^2. At scale 1 it has a kink at 0 and 180 degrees, where this returns the
// constant 0: the derivative of the sine term is defined as 0 there.
template <typename T>
AC_HD T scaled_sine(const T& sin2, plain_t<T> scale) {
  using U = plain_t<T>;
  constexpr U noise = U(32) * kEpsilon<U>;
  const T s2 = (U(1) - scale * scale) + (scale * scale) * sin2;
  return select(value(s2) > noise * noise, sqrt(s2), T(0));
}

// ((1 + cos(theta - theta_s)) / 2)^zeta and its derivative in c, by the addition formula; theta = acos(scale c).
template <typename T>
AC_HD Jet<T> ani_angle(const T& c, const T& sine, plain_t<T> zeta, plain_t<T> cos_s, plain_t<T> sin_s,
                       plain_t<T> scale) {
  using U = plain_t<T>;
  const T u = U(0.5) * (U(1) + ((scale * cos_s) * c + sin_s * sine));
  const T p = power(u, zeta - U(1));
  const T sine_term = (scale * scale * sin_s) * (c / sine);
  const T du = T(scale * cos_s) - select(value(sine) > U(0), sine_term, T(0));
  return {p * u, (U(0.5) * zeta) * (p * du)};
}

// theta from its cosine and its sine, without the digits that acos loses at 0 and 180 degrees.
template <typename T>
AC_HD T angle_of(const T& c, const T& sine) {
  using U = plain_t<T>;
  constexpr U right = static_cast<U>(0.5 * kPi);
  const auto oblique = abs(value(c)) < U(0.8);
  const T a = acos(select(oblique, c, sine));
  return select(oblique, a, select(value(c) > U(0), right - a, right + a));
}

// core(|theta - mid| / half) within mid - half < theta < mid + half, 0 elsewhere, and its derivative in c; inverse_half
// is 1 / half. That derivative is defined as 0 at exactly 0 and 180 degrees, where forces do not depend on it.
template <typename T>
AC_HD Jet<T> compact_angle(const T& c, const T& sine, CutoffKind kind, plain_t<T> mid, plain_t<T> half,
                           plain_t<T> inverse_half) {
  using U = plain_t<T>;
  const T u = angle_of(c, sine) - mid;
  const auto inside = abs(value(u)) < half;
  const Jet<T> core = mirrored_core(kind, u, U(0), inverse_half, U(0));
  const T slope = select(value(sine) > U(0), -(core.d / sine), T(0));
  return {select(inside, core.f, T(0)), select(inside, slope, T(0))};
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
