// Layer 1: every kernel of the core, spans in and spans out. cuda/ declares its twins under the same names.
//
// A graph is a CSR neighbour list: the edges of centre i are row_ptr[i] .. row_ptr[i+1], edge e ends at atom
// neighbor[e], and its vector is D[e] = r_neighbor - r_centre + shift . cell. Lists are full and rows are atoms
// 0 .. n_rows-1. All kernels give bitwise the same result for every thread count.
#pragma once

#include <cstdint>
#include <vector>

#include "atomcore/span.hpp"

namespace atomcore {

struct Graph {
  span<const std::int64_t> row_ptr;   // [n_rows + 1]
  span<const std::int64_t> neighbor;  // [P]
  span<const std::int32_t> species;   // [n_atoms], index into the plan's species
  std::int64_t n_rows() const { return static_cast<std::int64_t>(row_ptr.size()) - 1; }
};

// A plan is two flat arrays, made by compile_features (feature_plan.hpp).
struct Plan {
  span<const std::int32_t> table;
  span<const double> parameters;
};

}  // namespace atomcore

namespace atomcore::cpu {

// ---- neighbors.cpp

struct NeighborList {
  std::vector<std::int64_t> row_ptr;   // [N + 1]
  std::vector<std::int64_t> neighbor;  // [P], within a row sorted by (neighbor, shift)
  std::vector<std::int32_t> shift;     // [P, 3]
};

// Full list of all pairs with distance < cutoff (strict): images and own images included, coincident atoms too (r = 0).
// positions [N,3]; cells [S,3,3] with lattice vectors as rows; pbc [S,3]; structure_ptr [S+1].
NeighborList neighbor_list(span<const double> positions, span<const double> cells, span<const std::uint8_t> pbc,
                           span<const std::int64_t> structure_ptr, double cutoff, int n_threads);

// ---- edge_vectors.cpp

// D[e] = r_neighbor - r_centre + shift . cell
template <typename T>
void edge_vectors(span<const T> positions, span<const T> cells, span<const std::int64_t> structure_ptr,
                  span<const std::int64_t> row_ptr, span<const std::int64_t> neighbor, span<const std::int32_t> shift,
                  span<T> D, int n_threads);

// The adjoint of edge_vectors: g_positions [N,3] and g_cells [S,3,3] from g_D [P,3].
template <typename T>
void edge_scatter(span<const T> g_D, span<const std::int64_t> structure_ptr, span<const std::int64_t> row_ptr,
                  span<const std::int64_t> neighbor, span<const std::int32_t> shift, span<T> g_positions,
                  span<T> g_cells, int n_threads);

// ---- features.cpp: D, v [P,3]; G, g [n_rows,K]

template <typename T>
void features(Plan plan, const Graph& graph, span<const T> D, span<T> G, int n_threads);
template <typename T>  // g_D[M,P,3] = J^T g[M,n_rows,K]: one pass over the triplets for any number M of cotangents
void features_vjp(Plan plan, const Graph& graph, span<const T> D, span<const T> g, span<T> g_D, int n_threads);
template <typename T>  // dG[n_rows,K] = J v
void features_jvp(Plan plan, const Graph& graph, span<const T> D, span<const T> v, span<T> dG, int n_threads);
template <typename T>  // h[P,3] = d/dD (g^T J v)
void features_hvp(Plan plan, const Graph& graph, span<const T> D, span<const T> g, span<const T> v, span<T> h,
                  int n_threads);

// ---- features_jacobian.cpp

// Edge-blocked sparse Jacobian: edge e holds d G[centre, c] / d D[e] for the columns c of its class (feature_plan.hpp).
// edge_class [P]; row_offset [n_rows + 1] counts the blocks of 3 values ahead of each row.
template <typename T>
void edge_classes(Plan plan, const Graph& graph, span<const T> D, span<std::int32_t> edge_class,
                  span<std::int64_t> row_offset, int n_threads);
template <typename T>  // values [row_offset[n_rows], 3]
void features_jacobian(Plan plan, const Graph& graph, span<const T> D, span<const std::int32_t> edge_class,
                       span<const std::int64_t> row_offset, span<T> values, int n_threads);

// The stored Jacobian of a subset of rows applied to cotangents or tangents: g [M,K], edges in the order of `rows`.
struct StoredJacobian {
  span<const std::int64_t> row_ptr;     // [n_rows + 1]
  span<const std::int32_t> edge_class;  // [P]
  span<const std::int64_t> row_offset;  // [n_rows + 1], in blocks of 3 values
};
template <typename T>
void jacobian_vjp(Plan plan, const StoredJacobian& jacobian, span<const T> values, span<const std::int64_t> rows,
                  span<const T> g, span<T> g_D, int n_threads);
template <typename T>
void jacobian_jvp(Plan plan, const StoredJacobian& jacobian, span<const T> values, span<const std::int64_t> rows,
                  span<const T> v, span<T> dG, int n_threads);

}  // namespace atomcore::cpu
