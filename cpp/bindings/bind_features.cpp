#include "bindings.hpp"

void bind_features(py::module_&) {}
