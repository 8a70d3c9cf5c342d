#include "bindings.hpp"
#include "src/error.hpp"

namespace {

void register_errors(py::module_& m) {
  static py::exception<atomcore::Error> base(m, "AtomcoreError");
  base.attr("__module__") = "atomcore";
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const atomcore::Error& e) {
      switch (e.code()) {
        case atomcore::ErrorCode::invalid_value: py::set_error(PyExc_ValueError, e.what()); break;
        case atomcore::ErrorCode::out_of_memory: py::set_error(PyExc_MemoryError, e.what()); break;
        case atomcore::ErrorCode::io: py::set_error(PyExc_OSError, e.what()); break;
        default: py::set_error(base, e.what());
      }
    }
  });
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The compiled core of atomcore. Use the public functions of the atomcore package instead.";
  register_errors(m);
  bind_neighbors(m);
  bind_features(m);
  bind_potential(m);
}
