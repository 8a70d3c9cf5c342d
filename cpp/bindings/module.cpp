#include "bindings.hpp"
#include "src/error.hpp"
#include "src/isa.hpp"

namespace {

// A message may hold a path, and paths need not be UTF-8.
void raise(PyObject* type, const atomcore::Error& error) {
  const py::object text = py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(error.what()));
  PyErr_SetObject(type, text.ptr());
}

void register_errors(py::module_& m) {
  static py::exception<atomcore::Error> base(m, "AtomcoreError");
  base.attr("__module__") = "atomcore";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const atomcore::Error& e) {
      switch (e.code()) {
        case atomcore::ErrorCode::invalid_value:
          raise(PyExc_ValueError, e);
          break;
        case atomcore::ErrorCode::out_of_memory:
          raise(PyExc_MemoryError, e);
          break;
        case atomcore::ErrorCode::io:
          raise(PyExc_OSError, e);
          break;
        default:
          raise(base.ptr(), e);
      }
    }
  });
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The compiled core of atomcore. Use the public functions of the atomcore package instead.";
  register_errors(m);
  m.def("instruction_set", [] { return atomcore::cpu::name_of(atomcore::cpu::active_isa()); });
  bind_neighbors(m);
  bind_features(m);
  bind_potential(m);
  bind_md(m);
}
