// Covariance functions for kernel machines (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
// chapter 4), with unit length and unit variance: callers divide features by their lengths beforehand.
//
// The radial ones are functions of q, the squared distance of two points:
//
//   rbf                   exp(-q / 2)
//   matern12              exp(-r)                            r = sqrt(q)
//   matern32              (1 + s) exp(-s)                    s = sqrt(3 q)
//   matern52              (1 + s + s^2 / 3) exp(-s)          s = sqrt(5 q)
//   rational_quadratic    (1 + q / (2 alpha))^-alpha
//
// and others are functions of one number about two points too:
//
//   laplacian             exp(-q)                            q = sum_k |x_k - y_k|
//   polynomial            (q + offset)^degree                q = sum_k x_k y_k; degree 1 is the linear kernel
#pragma once

#include "math/dual.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace math {

enum class KernelKind : int {
  rbf = 0,
  matern12 = 1,
  matern32 = 2,
  matern52 = 3,
  rational_quadratic = 4,
  laplacian = 5,
  polynomial = 6
};
constexpr int kKernelKinds = 7;

// `a`: alpha of rational_quadratic, offset of polynomial; `b`: degree of polynomial; not used otherwise.
struct KernelParameters {
  double a = 0.0, b = 0.0;
};

// How often a kernel can be derived where the two points are one. Forces need 1; training on forces needs 2.
AC_HD constexpr int smoothness(KernelKind kind) {
  return kind == KernelKind::matern12 || kind == KernelKind::laplacian ? 0 : 2;
}

AC_HD constexpr bool is_radial(KernelKind kind) {
  return kind != KernelKind::laplacian && kind != KernelKind::polynomial;
}

// A kernel and its first three derivatives in q. What diverges at q = 0 (derivatives of the Matern kernels, which the
// distance multiplies to nothing there) is 0 there.
template <typename T>
struct KernelJet {
  T f, d, dd, ddd;
};

template <typename T>
AC_HD T reciprocal_or_zero(const T& x) {
  const auto positive = value(x) > plain_t<T>(0);
  return select(positive, T(1) / select(positive, x, T(1)), T(0));
}

template <KernelKind kind, typename T>
AC_HD KernelJet<T> kernel_jet(const T& q, const KernelParameters& parameters) {
  using P = plain_t<T>;
  if constexpr (kind == KernelKind::rbf) {
    const T f = exp(P(-0.5) * q);
    return {f, P(-0.5) * f, P(0.25) * f, P(-0.125) * f};
  } else if constexpr (kind == KernelKind::matern12) {
    const T r = sqrt(q), f = exp(-r), i = reciprocal_or_zero(r), i2 = i * i;
    return {f, P(-0.5) * (f * i), P(0.25) * (f * i2 * (T(1) + i)), P(-0.125) * (f * i2 * (i + P(3) * i2 * (T(1) + i)))};
  } else if constexpr (kind == KernelKind::matern32) {
    const T s = sqrt(P(3) * q), e = exp(-s), i = reciprocal_or_zero(s);
    return {(T(1) + s) * e, P(-1.5) * e, P(2.25) * (e * i), P(-3.375) * (e * i * i * (T(1) + i))};
  } else if constexpr (kind == KernelKind::matern52) {
    const T s = sqrt(P(5) * q), e = exp(-s), i = reciprocal_or_zero(s);
    return {(T(1) + s + P(1.0 / 3.0) * (s * s)) * e, P(-5.0 / 6.0) * ((T(1) + s) * e), P(25.0 / 12.0) * e,
            P(-125.0 / 24.0) * (e * i)};
  } else if constexpr (kind == KernelKind::rational_quadratic) {
    const P alpha = static_cast<P>(parameters.a);
    const T u = T(1) / (T(1) + (P(0.5) / alpha) * q), f = exp(-alpha * log(T(1) / u));
    const T d = P(-0.5) * (f * u), dd = P(-0.5) * ((T(1) + T(P(1) / alpha)) * (d * u));
    return {f, d, dd, P(-0.5) * ((T(1) + T(P(2) / alpha)) * (dd * u))};
  } else if constexpr (kind == KernelKind::laplacian) {
    const T f = exp(-q);
    return {f, -f, f, -f};
  } else {
    const int n = static_cast<int>(parameters.b);
    const T base = q + T(static_cast<P>(parameters.a));
    const auto term = [&](int order) {
      P factor = P(1);
      for (int k = 0; k < order; ++k) factor *= P(n - k);
      return n < order ? T(0) : factor * integer_power(base, n - order);
    };
    return {term(0), term(1), term(2), term(3)};
  }
}

// The derivatives of a rational quadratic kernel and of its first and second derivative in the logarithm of alpha; the
// third is left 0. With u = 1 / (1 + q / (2 alpha)): d log f = alpha (log u + 1 - u), d log u = 1 - u.
template <typename T>
AC_HD KernelJet<T> rational_quadratic_in_log_alpha(const T& q, double alpha_) {
  using P = plain_t<T>;
  const P alpha = static_cast<P>(alpha_);
  const KernelJet<T> jet = kernel_jet<KernelKind::rational_quadratic>(q, {alpha_, 0.0});
  const T u = T(1) / (T(1) + (P(0.5) / alpha) * q), in_u = T(1) - u, in_f = alpha * (in_u - log(T(1) / u));
  return {jet.f * in_f, jet.d * (in_f + in_u), jet.dd * (in_f + P(2) * in_u - T(P(1) / (alpha + P(1)))), T(0)};
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
