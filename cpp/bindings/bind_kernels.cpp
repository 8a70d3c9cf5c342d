#include "bindings.hpp"

void bind_kernels(py::module_&) {}
