#include "bindings.hpp"

void bind_gdml(py::module_&) {}
