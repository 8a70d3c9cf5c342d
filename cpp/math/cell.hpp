// Cell algebra. In memory a vector is 3 numbers and a cell 9, lattice vectors as rows.
#pragma once

#include <cmath>

#include "math/scalar.hpp"

namespace atomcore {
inline namespace AC_ISA {
namespace math {

template <typename T>
AC_HD inline Vec3<T> load(const T* v) {
  return {v[0], v[1], v[2]};
}

template <typename T>
AC_HD inline void store(const Vec3<T>& v, T* out) {
  out[0] = v.x;
  out[1] = v.y;
  out[2] = v.z;
}

template <typename T>
AC_HD inline T dot(const T* a, const T* b) {
  return dot(load(a), load(b));
}

template <typename T>
AC_HD inline T norm(const T* v) {
  return std::sqrt(dot(v, v));
}

// The signed volume: negative for a left-handed cell.
template <typename T>
AC_HD inline T determinant(const T* cell) {
  return dot(load(cell), cross(load(cell + 3), load(cell + 6)));
}

// Columns of the inverse, stored as rows: dot(r, dual + 3 * k) is the fractional coordinate of r along vector k.
template <typename T>
AC_HD inline void dual_vectors(const T* cell, T* dual) {
  const T scale = T(1) / determinant(cell);
  for (int k = 0; k < 3; ++k)
    store(scale * cross(load(cell + 3 * ((k + 1) % 3)), load(cell + 3 * ((k + 2) % 3))), dual + 3 * k);
}

// Distances between opposite faces of the cell.
template <typename T>
AC_HD inline void face_heights(const T* dual, T* heights) {
  for (int k = 0; k < 3; ++k) heights[k] = T(1) / norm(dual + 3 * k);
}

template <typename T>
AC_HD inline Vec3<T> normalized(const Vec3<T>& v) {
  return T(1) / std::sqrt(dot(v, v)) * v;
}

// Some unit vector at right angles to v, made from the Cartesian axis that v leans on least.
template <typename T>
AC_HD inline Vec3<T> perpendicular(const Vec3<T>& v) {
  const T x = std::abs(v.x), y = std::abs(v.y), z = std::abs(v.z);
  const Vec3<T> axis{T(x <= y && x <= z), T(y < x && y <= z), T(z < x && z < y)};
  return normalized(cross(axis, v));
}

// Replaces the vectors of the open axes by unit vectors at right angles to all others, so that the cell spans space,
// open directions measure plain lengths, and what the cell says about them does not matter.
template <typename T>
AC_HD inline void complete_cell(const T* cell, const bool* periodic, T* out) {
  int n_periodic = 0, first_periodic = 0, first_open = 0;
  for (int k = 2; k >= 0; --k) {
    n_periodic += periodic[k];
    (periodic[k] ? first_periodic : first_open) = k;
    for (int x = 0; x < 3; ++x) out[3 * k + x] = periodic[k] ? cell[3 * k + x] : T(k == x);
  }
  if (n_periodic == 1) {
    const int a = (first_periodic + 1) % 3, b = (first_periodic + 2) % 3;
    const Vec3<T> vector = load(out + 3 * first_periodic), other = perpendicular(vector);
    store(other, out + 3 * a);
    store(normalized(cross(vector, other)), out + 3 * b);
  } else if (n_periodic == 2) {
    const int a = (first_open + 1) % 3, b = (first_open + 2) % 3;
    store(normalized(cross(load(out + 3 * a), load(out + 3 * b))), out + 3 * first_open);
  }
}

// S . cell
template <typename T>
AC_HD inline Vec3<T> translation(const T* cell, T s0, T s1, T s2) {
  return s0 * load(cell) + s1 * load(cell + 3) + s2 * load(cell + 6);
}

// D = r_j - r_i + S . cell, the one place that says so. Every step rounds the same for (j, i, -S) with the sign turned,
// so the two directions of a pair have exactly opposite vectors.
template <typename T>
AC_HD inline Vec3<T> edge_vector(const T* r_i, const T* r_j, const T* cell, T s0, T s1, T s2) {
  return (load(r_j) - load(r_i)) + translation(cell, s0, s1, s2);
}

}  // namespace math
}  // namespace AC_ISA
}  // namespace atomcore
