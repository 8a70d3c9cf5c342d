#include "bindings.hpp"
#include "src/error.hpp"
#include "src/interrupt.hpp"
#include "src/isa.hpp"

namespace {

// What a signal handler raised while a kernel ran without the interpreter's lock.
thread_local PyObject *raised_type = nullptr, *raised_value = nullptr, *raised_trace = nullptr;

// Lets Python handle pending signals. In other threads than the main one it never does.
bool signal_raised() {
  const py::gil_scoped_acquire lock;
  if (PyErr_CheckSignals() == 0) return false;
  PyErr_Fetch(&raised_type, &raised_value, &raised_trace);
  return true;
}

void register_interrupts() {
  atomcore::stop_question = &signal_raised;
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const atomcore::Interrupted&) {
      PyErr_Restore(raised_type, raised_value, raised_trace);
      raised_type = raised_value = raised_trace = nullptr;
    }
  });
}

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
  register_interrupts();
  bind_neighbors(m);
  bind_features(m);
  bind_potential(m);
  bind_md(m);
  bind_kernels(m);
  bind_linalg(m);
  bind_gdml(m);
  bind_many_body(m);
}
