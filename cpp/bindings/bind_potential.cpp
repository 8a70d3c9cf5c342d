#include "bindings.hpp"

void bind_potential(py::module_&) {}
