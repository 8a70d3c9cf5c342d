// What the feature kernels of every instruction set read and write: plain data, laid out by src/feature_rows.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/feature_plan.hpp"

namespace atomcore::cpu {

template <typename T>
struct CutoffData {
  std::int32_t kind;
  T low, high, inner, gamma;  // of math::make_cutoff
};

using plan_layout::AngleKind;
using plan_layout::RadialKind;

constexpr std::int32_t kEveryElement = -1;

// Functions of one distance that share species and cutoff.
template <typename T>
struct RadialData {
  std::int32_t species;  // or kEveryElement
  RadialKind kind;
  const T* weights;  // [n_species] or null
  CutoffData<T> cutoff;
  std::int32_t n;
  const T* parameters;  // [n, 3] prefactor; eta and shift, or kappa
  const std::int32_t* columns;
};

// Groups of angular functions that share shells and angles, so that these are evaluated once a triplet whatever its
// species: a family.
template <typename T>
struct FamilyData {
  FunctionType shell_type;
  AngleKind angle_kind;
  CutoffData<T> cutoff;
  const T* weights;  // [n_species] or null
  std::int32_t n_shells, n_angles;
  const T* shells;  // [n_shells, 2] eta, shift
  const T* angles;  // [n_angles, 4]
  std::int32_t first_group, n_groups;
  // Wide functions of whole exponents: the largest exponent, the number of monomials up to it (0 for other functions),
  // and [n_angles, degree + 1] ((1 + lambda x) / 2)^zeta as a polynomial in x.
  std::int32_t degree, n_monomials;
  const T* binomials;
};

// Monomials x^a y^b z^c in the order of their degree: number n is the coordinate axis[n] times number parent[n].
template <typename T>
struct MonomialData {
  const std::int32_t *parent, *axis;
  const std::int32_t* first;  // of each degree
  const T* multinomial;       // (a + b + c)! / (a! b! c!)
};
constexpr std::int32_t kMostDegrees = 16;      // beyond it the monomials are too many
constexpr std::int64_t kPairsPerMonomial = 1;  // moments pay when a centre has more pairs of neighbours than this

// The functions of one pair of species, sorted by shell: those of shell s stand at shell_first[s] .. shell_first[s +
// 1].
template <typename T>
struct GroupData {
  std::int32_t a, b;                // species, or both kEveryElement
  std::int32_t n_cells, number;     // number: place of the group in the plan
  const std::int32_t* shell_first;  // [n_shells + 1]
  const std::int32_t* angle;        // [n_cells]
  const std::int32_t* columns;      // [n_cells]
  const std::int32_t* position;     // [n_cells] place of the cell in the plan's group
  const T* prefactors;              // [n_cells]
};

template <typename T>
struct PlanData {
  std::int32_t n_species, n_features, n_radial, n_families, n_groups;
  std::int32_t most_shells, most_angles, most_cells, most_radial, most_monomials;
  const RadialData<T>* radial;
  const FamilyData<T>* families;
  const GroupData<T>* groups;
  MonomialData<T> monomials;
};

// The neighbourhood of one centre: edge vectors [n, 3], perhaps with tangents, and the species of their ends.
template <typename T>
struct RowInput {
  const T *D, *tangents;
  const std::int32_t* species;
  std::int32_t n;
};

// Cotangents g + m * stride, m < count.
template <typename T>
struct CotangentData {
  const T* g;
  std::size_t count, stride;
};

// The blocks of one row of the sparse Jacobian (features_jacobian): block[e] is where that of edge e starts, and
// first[e] of its class where the columns of each group start in it, radial groups first, or -1.
template <typename T>
struct JacobianRow {
  T* const* block;                   // [n]
  const std::int32_t* const* first;  // [n][groups]
};

// One set of kernels. `work` holds workspace(plan, n, count) numbers, on a border of 64 bytes; load fills it, the
// others use what the last load left there.
template <typename T>
struct FeatureKernels {
  std::size_t (*workspace)(const PlanData<T>& plan, std::int32_t n, std::size_t count);
  void (*load)(const PlanData<T>& plan, const RowInput<T>& row, T* work);
  void (*forward)(const PlanData<T>& plan, const RowInput<T>& row, T* work, T* G);
  void (*adjoint)(const PlanData<T>& plan, const RowInput<T>& row, T* work, const CotangentData<T>& g, T* g_D);
  // Null for dual numbers. Adds to the blocks; needs a workspace for most_cells cotangents.
  void (*jacobian)(const PlanData<T>& plan, const RowInput<T>& row, T* work, const JacobianRow<T>& out);
};

}  // namespace atomcore::cpu
