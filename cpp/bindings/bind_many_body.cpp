#include "bindings.hpp"

void bind_many_body(py::module_&) {}
