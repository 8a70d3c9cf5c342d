// Shared by the binding files: array types that never copy silently, and one function per part of the core.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "atomcore/span.hpp"
#include "src/pool.hpp"

namespace py = pybind11;

template <typename T>
using Array = py::array_t<T, py::array::c_style>;  // callers pass these with .noconvert()

template <typename T>
atomcore::span<const T> view(const Array<T>& a) {
  return {a.data(), static_cast<std::size_t>(a.size())};
}

template <typename T>
atomcore::span<T> mutable_view(Array<T>& a) {
  return {a.mutable_data(), static_cast<std::size_t>(a.size())};
}

// Hands a vector to numpy without a copy.
template <typename T>
Array<T> to_array(std::vector<T>&& values, std::vector<py::ssize_t> shape) {
  auto* owner = new std::vector<T>(std::move(values));
  py::capsule free(owner, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return Array<T>(std::move(shape), owner->data(), free);
}

// An uninitialised array; a large one on memory of the pool, to which it returns when numpy lets go of it.
template <typename T>
Array<T> new_array(std::vector<py::ssize_t> shape) {
  std::size_t bytes = sizeof(T);
  for (const py::ssize_t n : shape) bytes *= static_cast<std::size_t>(n);
  if (bytes < atomcore::kPooled) return Array<T>(std::move(shape));
  void* const buffer = atomcore::take_buffer(bytes);
  const py::capsule free(buffer, &atomcore::give_buffer);
  return Array<T>(std::move(shape), static_cast<T*>(buffer), free);
}

void bind_neighbors(py::module_& m);
void bind_features(py::module_& m);
void bind_potential(py::module_& m);
void bind_md(py::module_& m);
void bind_kernels(py::module_& m);
void bind_linalg(py::module_& m);
void bind_gdml(py::module_& m);
void bind_many_body(py::module_& m);
