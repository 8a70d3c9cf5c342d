#include "bindings.hpp"

void bind_linalg(py::module_&) {}
