// The factors of which every symmetry function is a product (Behler, J. Chem. Phys. 134, 074106 (2011); Smith et al.,
// Chem. Sci. 8, 3192 (2017)), each with its derivative in its own variable:
//
//   radial            exp(-eta (r - shift)^2) fc(r)
//   narrow (G4)       2^(1-zeta) (1 + lambda cos)^zeta exp(-eta [(a-s)^2 + (b-s)^2 + (q-s)^2]) fc(a) fc(b) fc(q)
//   wide (G5)         the same without q
//   ANI angular       2^(1-zeta) (1 + cos(theta - theta_s))^zeta exp(-eta ((a+b)/2 - s)^2) fc(a) fc(b)
//
// a, b are the distances from the centre to the two neighbours, q the distance between these, theta the angle.
#pragma once

#include <limits>

#include "math/dual.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace math {

// A cutoff function fc(r): from 1 at r = 0 (tanh3: 0.44) to 0 at the radius, where its slope is 0 too.
//   cosine      (1 + cos(pi x)) / 2,  x = r / radius
//   tanh3       tanh(1 - x)^3
//   polynomial  1 + gamma x^(gamma + 1) - (gamma + 1) x^gamma  (Khorshidi and Peterson, Comput. Phys. Commun. 207, 310
//               (2016))
enum class CutoffKind : int { cosine = 0, tanh3 = 1, polynomial = 2 };

template <typename U>
struct Cutoff {
  CutoffKind kind;
  U radius, gamma;
};

// The caller leaves out r >= radius.
template <typename T>
AC_HD Jet<T> cutoff_value(const T& r, const Cutoff<plain_t<T>>& cutoff) {
  using U = plain_t<T>;
  if (cutoff.kind == CutoffKind::cosine) {
    const U k = static_cast<U>(kPi) / cutoff.radius;
    const T x = k * r;
    return {U(0.5) * (U(1) + cos(x)), (U(-0.5) * k) * sin(x)};
  }
  const U inverse = U(1) / cutoff.radius;
  const T x = inverse * r;
  if (cutoff.kind == CutoffKind::tanh3) {
    const T t = tanh(U(1) - x), t2 = t * t;
    return {t * t2, (U(-3) * inverse) * (t2 * (U(1) - t2))};
  }
  const U g = cutoff.gamma;
  const T p = power(x, g - U(1)), px = p * x;
  return {U(1) + (g * (px * x) - (g + U(1)) * px), (g * (g + U(1)) * inverse) * (px - p)};
}

template <typename T>
AC_HD Jet<T> gaussian(const T& r, plain_t<T> eta, plain_t<T> shift) {
  using U = plain_t<T>;
  const T x = r - shift;
  const T f = exp((-eta) * (x * x));
  return {f, (U(-2) * eta) * (x * f)};
}

template <typename T>
AC_HD Jet<T> product(const Jet<T>& a, const Jet<T>& b) {
  return {a.f * b.f, a.d * b.f + a.f * b.d};
}

// ((1 + lambda c) / 2)^zeta and its derivative in c; twice this is Behler's 2^(1-zeta) (1 + lambda c)^zeta.
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
  return value(s2) > noise * noise ? sqrt(s2) : T(0);
}

// ((1 + cos(theta - theta_s)) / 2)^zeta and its derivative in c, by the addition formula; theta = acos(scale c).
template <typename T>
AC_HD Jet<T> ani_angle(const T& c, const T& sine, plain_t<T> zeta, plain_t<T> cos_s, plain_t<T> sin_s,
                       plain_t<T> scale) {
  using U = plain_t<T>;
  const T u = U(0.5) * (U(1) + ((scale * cos_s) * c + sin_s * sine));
  const T p = power(u, zeta - U(1));
  T du = T(scale * cos_s);
  if (value(sine) > U(0)) du = du - (scale * scale * sin_s) * (c / sine);
  return {p * u, (U(0.5) * zeta) * (p * du)};
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
