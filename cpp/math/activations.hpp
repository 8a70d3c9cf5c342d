// Activation functions with their first derivative, on numbers and packs. Only exp(-|x|) is taken of those that stay as
// small as their argument, so nothing overflows, and what tends to zero for large |x| is computed as such and not as a
// difference of two numbers near one.
#pragma once

#include "math/scalar.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace math {

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
  return {select(x < T(0), small, large), select(x < T(0), large, small)};
}

// log(1 + x) for 0 <= x <= 1: the rounding of 1 + x cancels in the quotient.
template <typename T>
AC_HD T log_one_plus(T x) {
  const T u = T(1) + x;
  return select(u == T(1), x, log(u) * (x / (u - T(1))));
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
  return {select(x <= T(0), T(0), x) + log_one_plus(exp(-abs(x))), logistic(x).s};
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
  return {select(x <= T(0), T(0), x), select(x <= T(0), T(0), T(1))};
}

// CELU with alpha = 1: x for x > 0, exp(x) - 1 = 2 t / (1 - t), t = tanh(x / 2), below.
template <typename T>
AC_HD Jet<T> celu(T x) {
  const T t = tanh(T(0.5) * x);
  return {select(x > T(0), x, (t + t) / (T(1) - t)), select(x > T(0), T(1), exp(-abs(x)))};
}

template <typename T>
AC_HD Jet<T> identity(T x) {
  return {x, T(1)};
}

// exp(-x^2 / 2)
template <typename T>
AC_HD Jet<T> unit_gaussian(T x) {
  const T y = exp(T(-0.5) * (x * x));
  return {y, -(x * y)};
}

// cos(x). What is larger than packs can reduce by pi/2 means nothing: it becomes NaN, which no caller lets pass.
template <typename T>
AC_HD Jet<T> cosine(T x) {
  using Real = plain_t<T>;
  const Real largest = sizeof(Real) == 4 ? Real(1e3) : Real(1e5);
  const T known = select(abs(value(x)) <= largest, x, T(Real(NAN)));
  return {cos(known), -sin(known)};
}

// exp(-x)
template <typename T>
AC_HD Jet<T> falling_exponential(T x) {
  const T y = exp(-x);
  return {y, -y};
}

template <typename T>
AC_HD Jet<T> square(T x) {
  return {x * x, x + x};
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
