// Cell algebra. A cell is 9 numbers, lattice vectors as rows; a vector is 3 numbers.
#pragma once

#include <cmath>

#if !defined(AC_HD)
#define AC_HD
#endif

namespace atomcore::math {

template <typename T>
AC_HD inline T dot(const T* a, const T* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

template <typename T>
AC_HD inline void cross(const T* a, const T* b, T* out) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

// The signed volume: negative for a left-handed cell.
template <typename T>
AC_HD inline T determinant(const T* cell) {
  T normal[3];
  cross(cell + 3, cell + 6, normal);
  return dot(cell, normal);
}

// Columns of the inverse, stored as rows: dot(r, dual + 3 * k) is the fractional coordinate of r along lattice vector k.
template <typename T>
AC_HD inline void dual_vectors(const T* cell, T* dual) {
  const T scale = T(1) / determinant(cell);
  for (int k = 0; k < 3; ++k) {
    cross(cell + 3 * ((k + 1) % 3), cell + 3 * ((k + 2) % 3), dual + 3 * k);
    for (int x = 0; x < 3; ++x) dual[3 * k + x] *= scale;
  }
}

// Distances between opposite faces of the cell.
template <typename T>
AC_HD inline void face_heights(const T* dual, T* heights) {
  for (int k = 0; k < 3; ++k) heights[k] = T(1) / std::sqrt(dot(dual + 3 * k, dual + 3 * k));
}

// Replaces the vectors of the open axes by unit vectors at right angles to all others, so that the cell spans space,
// open directions measure plain lengths, and what the cell says about them does not matter.
template <typename T>
AC_HD inline void complete_cell(const T* cell, const bool* periodic, T* out) {
  int n_periodic = 0;
  for (int k = 0; k < 3; ++k) {
    n_periodic += periodic[k];
    for (int x = 0; x < 3; ++x) out[3 * k + x] = periodic[k] ? cell[3 * k + x] : T(k == x);
  }
  if (n_periodic == 0 || n_periodic == 3) return;
  const int k = n_periodic == 2 ? (periodic[0] ? (periodic[1] ? 2 : 1) : 0) : (periodic[0] ? 0 : periodic[1] ? 1 : 2);
  T* const a = out + 3 * ((k + 1) % 3);
  T* const b = out + 3 * ((k + 2) % 3);
  T* const c = out + 3 * k;
  if (n_periodic == 1) {  // a: at right angles to c, made from the Cartesian axis that c leans on least
    int axis = 0;
    for (int x = 1; x < 3; ++x) axis = std::abs(c[x]) < std::abs(c[axis]) ? x : axis;
    const T unit[3] = {T(axis == 0), T(axis == 1), T(axis == 2)};
    cross(unit, c, a);
    cross(c, a, b);
  } else {
    cross(a, b, c);
  }
  for (int row = 0; row < 3; ++row) {
    if (periodic[row]) continue;
    T* const v = out + 3 * row;
    const T length = std::sqrt(dot(v, v));
    for (int x = 0; x < 3; ++x) v[x] /= length;
  }
}

// D = r_j - r_i + S . cell, the one place that says so. Every step rounds the same for (j, i, -S) with the sign turned,
// so the two directions of a pair have exactly opposite vectors.
template <typename T>
AC_HD inline void edge_vector(const T* r_i, const T* r_j, const T* cell, T s0, T s1, T s2, T* D) {
  for (int x = 0; x < 3; ++x) D[x] = (r_j[x] - r_i[x]) + (s0 * cell[x] + s1 * cell[3 + x] + s2 * cell[6 + x]);
}

}  // namespace atomcore::math
