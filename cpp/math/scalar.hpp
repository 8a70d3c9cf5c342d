// What every formula in cpp/math is written on: a scalar type that is float, double, or a dual number over either. So
// that a scalar may also be a pack of numbers, formulas choose between values by `select` and never by `if`.
#pragma once

#include <cmath>

#if defined(__CUDACC__)
#define AC_HD __host__ __device__
#else
#define AC_HD
#endif

// Names the instruction set that a translation unit is compiled for, in every symbol of cpp/math. Without it the linker
// would keep one copy of each inline function, perhaps the one for AVX-512, and hand it to callers on other processors.
#if !defined(AC_ISA)
#define AC_ISA portable
#endif

namespace atomcore {
inline namespace AC_ISA {
namespace math {

// An unqualified exp(float) would silently call the double version: bring the overloads in.
using std::abs;
using std::acos;
using std::cos;
using std::exp;
using std::log;
using std::sin;
using std::sqrt;
using std::tanh;

constexpr double kPi = 3.14159265358979323846;

// A function of one variable: value and first derivative.
template <typename T>
struct Jet {
  T f, d;
};

// The plain number behind a scalar type: float for float and Dual<float>.
template <typename T>
struct plain {
  using type = T;
};
template <typename T>
using plain_t = typename plain<T>::type;

AC_HD inline float value(float x) { return x; }
AC_HD inline double value(double x) { return x; }

// `a` where the condition holds, `b` elsewhere; both are computed. NaN in the one that is left out does no harm.
AC_HD inline float select(bool condition, float a, float b) { return condition ? a : b; }
AC_HD inline double select(bool condition, double a, double b) { return condition ? a : b; }

template <typename T>
AC_HD T integer_power(T x, int n) {
  T result = T(1);
  for (; n > 0; n >>= 1, x = x * x)
    if (n & 1) result = result * x;
  return result;
}

// x^p for x >= 0, with 0^0 = 1 and 0 for every other power of a number that is not positive. With that rule the
// derivatives of x^zeta at x = 0 (angles of 0 and 180 degrees) are right for zeta = 1 and zeta >= 2, and finite always.
template <typename T>
AC_HD T power(T x, T p) {
  if (p == T(0)) return T(1);
  if (!(x > T(0))) return x != x ? x : T(0);
  if (p >= T(1) && p <= T(64)) {
    const int n = static_cast<int>(p);
    if (static_cast<T>(n) == p) return integer_power(x, n);
  }
  return std::pow(x, p);
}

template <typename T>
struct Vec3 {
  T x, y, z;
};
template <typename T>
AC_HD Vec3<T> operator+(const Vec3<T>& a, const Vec3<T>& b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z};
}
template <typename T>
AC_HD Vec3<T> operator-(const Vec3<T>& a, const Vec3<T>& b) {
  return {a.x - b.x, a.y - b.y, a.z - b.z};
}
template <typename T>
AC_HD Vec3<T> operator*(const T& s, const Vec3<T>& a) {
  return {s * a.x, s * a.y, s * a.z};
}
template <typename T>
AC_HD T dot(const Vec3<T>& a, const Vec3<T>& b) {
  return a.x * b.x + a.y * b.y + a.z * b.z;
}
template <typename T>
AC_HD Vec3<T> cross(const Vec3<T>& a, const Vec3<T>& b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
