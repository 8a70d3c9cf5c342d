// Dual numbers a + b eps, eps^2 = 0: a kernel that runs on them returns its directional derivative along b.
//
// The kernels write out values and first derivatives only. Tangents (J v) are the forward pass on duals and second
// derivatives (d/dD g^T J v) are the adjoint pass on duals, so that no formula is differentiated twice by hand.
#pragma once

#include "math/scalar.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace math {

template <typename T>
struct Dual {
  T v, d;
  AC_HD Dual() : v(0), d(0) {}
  AC_HD Dual(T value, T tangent) : v(value), d(tangent) {}
  template <typename N>
  AC_HD explicit Dual(N constant) : v(static_cast<T>(constant)), d(0) {}
};

template <typename T>
struct plain<Dual<T>> {
  using type = plain_t<T>;
};
template <typename T>
AC_HD auto value(const Dual<T>& x) {
  return value(x.v);
}
template <typename Condition, typename T>
AC_HD Dual<T> select(const Condition& condition, const Dual<T>& a, const Dual<T>& b) {
  return {select(condition, a.v, b.v), select(condition, a.d, b.d)};
}

template <typename T>
AC_HD Dual<T> operator+(const Dual<T>& a, const Dual<T>& b) {
  return {a.v + b.v, a.d + b.d};
}
template <typename T>
AC_HD Dual<T> operator-(const Dual<T>& a, const Dual<T>& b) {
  return {a.v - b.v, a.d - b.d};
}
template <typename T>
AC_HD Dual<T> operator-(const Dual<T>& a) {
  return {-a.v, -a.d};
}
template <typename T>
AC_HD Dual<T> operator*(const Dual<T>& a, const Dual<T>& b) {
  return {a.v * b.v, a.v * b.d + a.d * b.v};
}
template <typename T>
AC_HD Dual<T> operator/(const Dual<T>& a, const Dual<T>& b) {
  const T q = a.v / b.v;
  return {q, (a.d - q * b.d) / b.v};
}
template <typename T>
AC_HD Dual<T>& operator+=(Dual<T>& a, const Dual<T>& b) {
  return a = a + b;
}

// Mixed with plain numbers: parameters and cotangents carry no tangent.
template <typename T>
AC_HD Dual<T> operator+(plain_t<T> a, const Dual<T>& b) {
  return {a + b.v, b.d};
}
template <typename T>
AC_HD Dual<T> operator-(plain_t<T> a, const Dual<T>& b) {
  return {a - b.v, -b.d};
}
template <typename T>
AC_HD Dual<T> operator-(const Dual<T>& a, plain_t<T> b) {
  return {a.v - b, a.d};
}
template <typename T>
AC_HD Dual<T> operator*(plain_t<T> a, const Dual<T>& b) {
  return {a * b.v, a * b.d};
}

template <typename T>
AC_HD Dual<T> exp(const Dual<T>& x) {
  const T e = exp(x.v);
  return {e, e * x.d};
}
template <typename T>
AC_HD Dual<T> log(const Dual<T>& x) {
  return {log(x.v), x.d / x.v};
}
template <typename T>
AC_HD Dual<T> sqrt(const Dual<T>& x) {
  const T s = sqrt(x.v);
  return {s, x.d / (s + s)};
}
template <typename T>
AC_HD Dual<T> sin(const Dual<T>& x) {
  return {sin(x.v), cos(x.v) * x.d};
}
template <typename T>
AC_HD Dual<T> cos(const Dual<T>& x) {
  return {cos(x.v), -sin(x.v) * x.d};
}
template <typename T>
AC_HD Dual<T> tanh(const Dual<T>& x) {
  const T t = tanh(x.v);
  return {t, (T(1) - t * t) * x.d};
}
template <typename T>
AC_HD Dual<T> abs(const Dual<T>& x) {
  return select(value(x) < plain_t<T>(0), -x, x);
}
template <typename T>
AC_HD Dual<T> acos(const Dual<T>& x) {
  return {acos(x.v), -(x.d / sqrt(T(1) - x.v * x.v))};
}
template <typename T>
AC_HD Dual<T> power(const Dual<T>& x, plain_t<T> p) {
  return {power(x.v, p), p * (power(x.v, p - plain_t<T>(1)) * x.d)};
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
