// Elementary functions on packs: no branches, no tables, NaN in NaN out. Errors are a few units in the last place where
// the formulas use them; tests/cpp/test_packs.cpp holds the bounds. Polynomials after S. L. Moshier's Cephes library.
#pragma once

#include <limits>

#include "math/pack.hpp"

// Calls from a loop would write every register to memory and read it again.
#define AC_LANES [[gnu::always_inline]] inline

namespace atomcore {
inline namespace AC_ISA {
namespace math {

template <typename T>
struct Bits;  // of the floating-point format
template <>
struct Bits<double> {
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double round =
      6755399441055744.0;  // 1.5 * 2^52: adding it leaves the nearest integer in the low bits
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
  static constexpr double exp_low = -708.0, exp_high = 709.0;  // 2^n stays a normal number
};
template <>
struct Bits<float> {
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float round = 12582912.0f;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float exp_low = -87.0f, exp_high = 88.0f;
};

template <typename T>
inline Pack<T> min(const Pack<T>& a, const Pack<T>& b) {  // b where a is NaN
  return select(a < b, a, b);
}
template <typename T>
inline Pack<T> max(const Pack<T>& a, const Pack<T>& b) {
  return select(a > b, a, b);
}
template <typename T>
inline Pack<T> abs(const Pack<T>& x) {
  using Integers = typename Pack<T>::Integers;
  const Integers sign = (Integers)(Pack<T>(T(-0.0)).v);
  return (typename Pack<T>::Vector)((Integers)x.v & ~sign);
}
template <typename T>
inline Pack<T> copysign(const Pack<T>& magnitude, const Pack<T>& sign_of) {
  using Integers = typename Pack<T>::Integers;
  const Integers sign = (Integers)(Pack<T>(T(-0.0)).v);
  return (typename Pack<T>::Vector)(((Integers)magnitude.v & ~sign) | ((Integers)sign_of.v & sign));
}

// The nearest integer, for |x| < 2^(mantissa - 1).
template <typename T>
AC_LANES Pack<T> nearest(const Pack<T>& x) {
  return (x + Bits<T>::round) - Bits<T>::round;
}

// Horner's rule, the coefficient of the highest power first.
template <typename T, int n>
AC_LANES Pack<T> polynomial(const Pack<T>& x, const T (&coefficients)[n]) {
  Pack<T> sum(coefficients[0]);
  for (int i = 1; i < n; ++i) sum = sum * x + coefficients[i];
  return sum;
}

// 2^n for whole n within the exponents of normal numbers.
template <typename T>
AC_LANES Pack<T> power_of_two(const Pack<T>& n) {
  using Integers = typename Pack<T>::Integers;
  // n + round holds n in its low bits, and its own exponent above those of the mantissa.
  const Integers whole = (Integers)((n + Bits<T>::round).v) - (Integers)(Pack<T>(Bits<T>::round).v);
  return (typename Pack<T>::Vector)((whole + Bits<T>::bias) << Bits<T>::mantissa);
}

// Zero below exp_low, infinity above exp_high.
template <typename T>
AC_LANES Pack<T> exp(const Pack<T>& x) {
  const Pack<T> bounded = select(x < Bits<T>::exp_low, Pack<T>(Bits<T>::exp_low),
                                 select(x > Bits<T>::exp_high, Pack<T>(Bits<T>::exp_high), x));
  const Pack<T> n = nearest(bounded * T(1.4426950408889634));
  const Pack<T> r = (bounded - n * Bits<T>::ln2_high) - n * Bits<T>::ln2_low;
  Pack<T> y;
  if constexpr (sizeof(T) == 8) {
    const Pack<T> r2 = r * r;
    const Pack<T> p =
        r * polynomial(r2, {1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1});
    const Pack<T> q = polynomial(r2, {3.00198505138664455042e-6, 2.52448340349684104192e-3, 2.27265548208155028766e-1,
                                      2.00000000000000000009e0});
    y = 1.0 + 2.0 * (p / (q - p));
  } else {
    y = polynomial(r, {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                       5.0000001201e-1f}) *
            (r * r) +
        r + 1.0f;
  }
  y = y * power_of_two(n);
  y = select(x < Bits<T>::exp_low, Pack<T>(T(0)), y);
  return select(x > Bits<T>::exp_high, Pack<T>(std::numeric_limits<T>::infinity()), y);
}

// For positive normal numbers; what else it returns is not used.
template <typename T>
AC_LANES Pack<T> log(const Pack<T>& x) {
  using Integers = typename Pack<T>::Integers;
  using Vector = typename Pack<T>::Vector;
  // x = m 2^e with m from sqrt(1/2) to sqrt(2)
  const Integers bits = (Integers)x.v;
  const Integers half = (Integers)(Pack<T>(T(0.5)).v);
  const Integers fraction = (typename pack_types<T>::integer(1) << Bits<T>::mantissa) - 1 - Integers{};
  Pack<T> m = (Vector)((bits & fraction) | half);
  Pack<T> e(Vector(__builtin_convertvector((bits >> Bits<T>::mantissa) - (Bits<T>::bias - 1), Vector)));
  const Mask<T> small = m < T(0.70710678118654752440);
  e = e - select(small, Pack<T>(T(1)), Pack<T>(T(0)));
  const Pack<T> f = select(small, m + m, m) - T(1), f2 = f * f;
  Pack<T> y;
  if constexpr (sizeof(T) == 8)
    y = f * f2 *
        polynomial(f, {1.01875663804580931796e-4, 4.97494994976747001425e-1, 4.70579119878881725854e0,
                       1.44989225341610930846e1, 1.79368678507819816313e1, 7.70838733755885391666e0}) /
        polynomial(f, {1.0, 1.12873587189167450590e1, 4.52279145837532221105e1, 8.29875266912776603211e1,
                       7.11544750618563894466e1, 2.31251620126765340583e1});
  else
    y = f * f2 *
        polynomial(f, {7.0376836292e-2f, -1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
                       -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f});
  y = y + e * Bits<T>::ln2_low - T(0.5) * f2;
  const Pack<T> result = f + y + e * Bits<T>::ln2_high;
  return select(x == x, result, x);
}

template <typename T>
struct SineCosine {
  Pack<T> sine, cosine;
};

// For |x| up to about 1e5 (double) or 1e3 (float), where the reduction by pi/2 in three parts is still good.
template <typename T>
AC_LANES SineCosine<T> sine_cosine(const Pack<T>& x) {
  using Integers = typename Pack<T>::Integers;
  const Pack<T> n = nearest(x * T(0.63661977236758134308));
  Pack<T> r, s, c;
  if constexpr (sizeof(T) == 8) {
    r = ((x - n * 1.5707962512969970703) - n * 7.5497894158615963534e-8) - n * 5.3903025299577647655e-15;
    const Pack<T> r2 = r * r;
    s = r + r * r2 *
                polynomial(r2, {1.58962301576546568060e-10, -2.50507477628578072866e-8, 2.75573136213857245213e-6,
                                -1.98412698295895385996e-4, 8.33333333332211858878e-3, -1.66666666666666307295e-1});
    c = 1.0 - 0.5 * r2 +
        r2 * r2 *
            polynomial(r2, {-1.13585365213876817300e-11, 2.08757008419747316778e-9, -2.75573141792967388112e-7,
                            2.48015872888517045348e-5, -1.38888888888730564116e-3, 4.16666666666665929218e-2});
  } else {
    r = ((x - n * 1.5703125f) - n * 4.8351287841796875e-4f) - n * 3.1385570764541626e-7f;
    r = r - n * 6.0771005065061922e-11f;
    const Pack<T> r2 = r * r;
    s = r + r * r2 * polynomial(r2, {-1.9515295891e-4f, 8.3321608736e-3f, -1.6666654611e-1f});
    c = 1.0f - 0.5f * r2 +
        r2 * r2 * polynomial(r2, {2.443315711809948e-5f, -1.388731625493765e-3f, 4.166664568298827e-2f});
  }
  const Integers quadrant = (Integers)((n + Bits<T>::round).v);  // its low bits
  const Mask<T> odd{(quadrant & 1) != 0}, negative_s{(quadrant & 2) != 0}, negative_c{((quadrant + 1) & 2) != 0};
  const Pack<T> sine = select(odd, c, s), cosine = select(odd, s, c);
  return {select(negative_s, -sine, sine), select(negative_c, -cosine, cosine)};
}
template <typename T>
AC_LANES Pack<T> sin(const Pack<T>& x) {
  return sine_cosine(x).sine;
}
template <typename T>
AC_LANES Pack<T> cos(const Pack<T>& x) {
  return sine_cosine(x).cosine;
}

template <typename T>
AC_LANES Pack<T> tanh(const Pack<T>& x) {
  const Pack<T> size = abs(x), x2 = x * x;
  const Pack<T> e = exp(T(-2) * size);
  const Pack<T> large = copysign((T(1) - e) / (T(1) + e), x);
  Pack<T> small;
  if constexpr (sizeof(T) == 8)
    small = x + x * x2 *
                    polynomial(x2, {-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3}) /
                    polynomial(x2, {1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3});
  else
    small = x + x * x2 *
                    polynomial(x2, {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f,
                                    -3.33332819422e-1f});
  return select(size < T(0.625), small, select(x == x, large, x));
}

// asin(x) for |x| <= 1/2
template <typename T>
AC_LANES Pack<T> arc_sine_of_small(const Pack<T>& x) {
  const Pack<T> x2 = x * x;
  if constexpr (sizeof(T) == 8)
    return x + x * x2 *
                   polynomial(x2, {4.253011369004428248960e-3, -6.019598008014123785661e-1, 5.444622390564711410273e0,
                                   -1.626247967210700244449e1, 1.956261983317594739197e1, -8.198089802484824371615e0}) /
                   polynomial(x2, {1.0, -1.474091372988853791896e1, 7.049610280856842141659e1,
                                   -1.471791292232726029859e2, 1.395105614657485689735e2, -4.918853881490881290097e1});
  else
    return x + x * x2 *
                   polynomial(
                       x2, {4.2163199048e-2f, 2.4181311049e-2f, 4.5470025998e-2f, 7.4953002686e-2f, 1.6666752422e-1f});
}

// Numbers beyond -1 and 1 count as these.
template <typename T>
AC_LANES Pack<T> acos(const Pack<T>& x) {
  const Pack<T> size = select(abs(x) > T(1), Pack<T>(T(1)), abs(x));
  const Mask<T> large = size > T(0.5);
  const Pack<T> half = T(0.5) * (T(1) - size);
  const Pack<T> s = arc_sine_of_small(select(large, sqrt(half), size));
  const Pack<T> from_zero = select(large, s + s, T(1.57079632679489661923) - s);  // acos(|x|)
  return select(x < T(0), T(3.14159265358979323846) - from_zero, from_zero);
}

// As power of scalar.hpp: 0 for x <= 0 and p > 0.
template <typename T>
AC_LANES Pack<T> power(const Pack<T>& x, plain_t<Pack<T>> p) {
  if (p == T(0)) return Pack<T>(T(1));
  Pack<T> y;
  const int n = p >= T(1) && p <= T(64) ? static_cast<int>(p) : 0;
  if (static_cast<T>(n) == p) {
    y = integer_power(x, n);
  } else {
    const Pack<T> smallest(std::numeric_limits<T>::min());
    y = exp(p * log(select(x < smallest, smallest, x)));
  }
  return select(x > T(0), y, select(x == x, Pack<T>(T(0)), x));
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
