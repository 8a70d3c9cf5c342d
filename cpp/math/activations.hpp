// Activation functions with their first derivative. Only exp(-|x|) is ever taken, so nothing overflows, and what tends
// to zero for large |x| is computed as such and not as a difference of two numbers near one.
#pragma once

#include "math/scalar.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace math {

using std::abs;
using std::expm1;
using std::log1p;

// The logistic function s(x) and, without cancellation, 1 - s(x) = s(-x).
template <typename T>
struct Logistic {
  T s, complement;
};
template <typename T>
AC_HD Logistic<T> logistic(T x) {
  const T e = exp(-abs(x));
  const T large = T(1) / (T(1) + e);
  const T small = e * large;
  return x < T(0) ? Logistic<T>{small, large} : Logistic<T>{large, small};
}

template <typename T>
AC_HD Jet<T> sigmoid(T x) {
  const Logistic<T> y = logistic(x);
  return {y.s, y.s * y.complement};
}

// x s(x)
template <typename T>
AC_HD Jet<T> silu(T x) {
  const Logistic<T> y = logistic(x);
  return {x * y.s, y.s * (T(1) + x * y.complement)};
}

// log(1 + exp(x))
template <typename T>
AC_HD Jet<T> softplus(T x) {
  return {(x > T(0) ? x : T(0)) + log1p(exp(-abs(x))), logistic(x).s};
}

// The derivative is 1 / cosh(x)^2 = 4 e / (1 + e)^2 with e = exp(-2 |x|).
template <typename T>
AC_HD Jet<T> hyperbolic_tangent(T x) {
  const T e = exp(T(-2) * abs(x));
  const T q = T(1) + e;
  return {tanh(x), T(4) * e / (q * q)};
}

// Written so that a NaN stays one.
template <typename T>
AC_HD Jet<T> relu(T x) {
  return x <= T(0) ? Jet<T>{T(0), T(0)} : Jet<T>{x, T(1)};
}

// CELU with alpha = 1: x for x > 0, exp(x) - 1 below.
template <typename T>
AC_HD Jet<T> celu(T x) {
  return x > T(0) ? Jet<T>{x, T(1)} : Jet<T>{expm1(x), exp(x)};
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
