#include "bindings.hpp"
#include "src/error.hpp"
#include "src/feature_plan.hpp"
#include "src/neighbor_input.hpp"

namespace {

using namespace atomcore;

using Int32 = Array<std::int32_t>;
using Int64 = Array<std::int64_t>;

Plan plan_of(const Int32& table, const Array<double>& parameters) { return {view(table), view(parameters)}; }

Graph graph_of(const Int32& species, const Int64& row_ptr, const Int64& neighbor) {
  return {view(row_ptr), view(neighbor), view(species)};
}

// rows [n, 5] and parameters [n, 12], as atomcore.features.table writes them; weights [n_weights, n_species].
py::tuple compile(const Int32& rows, const Array<double>& parameters, const Array<double>& weights, int n_species) {
  std::vector<FeatureRow> table;
  for (py::ssize_t i = 0; i < rows.shape(0); ++i) {
    const std::int32_t* r = rows.data(i, 0);
    const double* p = parameters.data(i, 0);
    table.push_back(
        {r[0], r[1], r[2], p[0], p[1], p[2], p[3], p[4], p[5], p[6], r[3], p[7], p[8], p[9], p[10], p[11], r[4]});
  }
  FeaturePlan plan;
  const auto vectors = view(weights);
  {
    py::gil_scoped_release release;
    plan = compile_features(table, n_species, vectors);
  }
  const auto ints = static_cast<py::ssize_t>(plan.table.size()),
             reals = static_cast<py::ssize_t>(plan.parameters.size());
  return py::make_tuple(to_array(std::move(plan.table), {ints}), to_array(std::move(plan.parameters), {reals}));
}

template <typename T>
Array<T> features(const Int32& table, const Array<double>& parameters, const Int32& species, const Int64& row_ptr,
                  const Int64& neighbor, const Array<T>& D, int n_threads) {
  const Graph graph = graph_of(species, row_ptr, neighbor);
  Array<T> G({static_cast<py::ssize_t>(graph.n_rows()), static_cast<py::ssize_t>(table.data()[1])});
  const auto in = view(D), out = mutable_view(G);
  py::gil_scoped_release release;
  cpu::features<T>(plan_of(table, parameters), graph, in, out, n_threads);
  return G;
}

template <typename T>
Array<T> features_vjp(const Int32& table, const Array<double>& parameters, const Int32& species, const Int64& row_ptr,
                      const Int64& neighbor, const Array<T>& D, const Array<T>& g, int n_threads) {
  check_size("g", view(g).size(), (view(row_ptr).size() - 1) * static_cast<std::size_t>(table.data()[1]));
  Array<T> g_D({neighbor.size(), py::ssize_t{3}});
  const auto out = mutable_view(g_D);
  py::gil_scoped_release release;
  cpu::features_vjp<T>(plan_of(table, parameters), graph_of(species, row_ptr, neighbor), view(D), view(g), out,
                       n_threads);
  return g_D;
}

template <typename T>
Array<T> features_jvp(const Int32& table, const Array<double>& parameters, const Int32& species, const Int64& row_ptr,
                      const Int64& neighbor, const Array<T>& D, const Array<T>& v, int n_threads) {
  const Graph graph = graph_of(species, row_ptr, neighbor);
  Array<T> dG({static_cast<py::ssize_t>(graph.n_rows()), static_cast<py::ssize_t>(table.data()[1])});
  const auto out = mutable_view(dG);
  py::gil_scoped_release release;
  cpu::features_jvp<T>(plan_of(table, parameters), graph, view(D), view(v), out, n_threads);
  return dG;
}

template <typename T>
Array<T> features_hvp(const Int32& table, const Array<double>& parameters, const Int32& species, const Int64& row_ptr,
                      const Int64& neighbor, const Array<T>& D, const Array<T>& g, const Array<T>& v, int n_threads) {
  Array<T> h({neighbor.size(), py::ssize_t{3}});
  const auto out = mutable_view(h);
  py::gil_scoped_release release;
  cpu::features_hvp<T>(plan_of(table, parameters), graph_of(species, row_ptr, neighbor), view(D), view(g), view(v), out,
                       n_threads);
  return h;
}

template <typename T>
py::tuple edge_classes(const Int32& table, const Array<double>& parameters, const Int32& species, const Int64& row_ptr,
                       const Int64& neighbor, const Array<T>& D, int n_threads) {
  Int32 edge_class(neighbor.size());
  Int64 row_offset(row_ptr.size());
  const auto classes = mutable_view(edge_class);
  const auto offsets = mutable_view(row_offset);
  {
    py::gil_scoped_release release;
    cpu::edge_classes<T>(plan_of(table, parameters), graph_of(species, row_ptr, neighbor), view(D), classes, offsets,
                         n_threads);
  }
  return py::make_tuple(edge_class, row_offset);
}

template <typename T>
Array<T> features_jacobian(const Int32& table, const Array<double>& parameters, const Int32& species,
                           const Int64& row_ptr, const Int64& neighbor, const Array<T>& D, const Int32& edge_class,
                           const Int64& row_offset, int n_threads) {
  Array<T> values({static_cast<py::ssize_t>(row_offset.data()[row_offset.size() - 1]), py::ssize_t{3}});
  const auto out = mutable_view(values);
  py::gil_scoped_release release;
  cpu::features_jacobian<T>(plan_of(table, parameters), graph_of(species, row_ptr, neighbor), view(D), view(edge_class),
                            view(row_offset), out, n_threads);
  return values;
}

// Checks a stored Jacobian and returns the number of edges that `rows` have.
std::int64_t checked_edges(const Plan& plan, const cpu::StoredJacobian& stored, std::int64_t n_values,
                           span<const std::int64_t> rows) {
  py::gil_scoped_release release;
  check_stored(plan, stored, n_values, rows);
  std::int64_t n_edges = 0;
  for (const std::int64_t row : rows) n_edges += stored.row_ptr[row + 1] - stored.row_ptr[row];
  return n_edges;
}

template <typename T>
Array<T> jacobian_vjp(const Int32& table, const Array<double>& parameters, const Int64& row_ptr,
                      const Int32& edge_class, const Int64& row_offset, const Array<T>& values, const Int64& rows,
                      const Array<T>& g, int n_threads) {
  const Plan plan = plan_of(table, parameters);
  const cpu::StoredJacobian stored{view(row_ptr), view(edge_class), view(row_offset)};
  Array<T> g_D({static_cast<py::ssize_t>(checked_edges(plan, stored, values.shape(0), view(rows))), py::ssize_t{3}});
  const auto out = mutable_view(g_D);
  py::gil_scoped_release release;
  cpu::jacobian_vjp<T>(plan, stored, view(values), view(rows), view(g), out, n_threads);
  return g_D;
}

template <typename T>
Array<T> jacobian_jvp(const Int32& table, const Array<double>& parameters, const Int64& row_ptr,
                      const Int32& edge_class, const Int64& row_offset, const Array<T>& values, const Int64& rows,
                      const Array<T>& v, int n_threads) {
  const Plan plan = plan_of(table, parameters);
  const cpu::StoredJacobian stored{view(row_ptr), view(edge_class), view(row_offset)};
  checked_edges(plan, stored, values.shape(0), view(rows));
  Array<T> dG({rows.size(), static_cast<py::ssize_t>(table.data()[1])});
  const auto out = mutable_view(dG);
  py::gil_scoped_release release;
  cpu::jacobian_jvp<T>(plan, stored, view(values), view(rows), view(v), out, n_threads);
  return dG;
}

std::vector<Int32> class_columns(const Int32& table) {
  std::vector<Int32> columns;
  for (const EdgeClass& c : edge_classes_of(view(table))) columns.emplace_back(c.n_columns, c.columns);
  return columns;
}

// Layer-2 check of what Python hands to the feature kernels, once a call: O(edges), small beside the kernels.
void check(const Int32& table, const Int32& species, const Int64& row_ptr, const Int64& neighbor) {
  py::gil_scoped_release release;
  check_graph(graph_of(species, row_ptr, neighbor), table.data()[0]);
}

void check_compiled(const Int32& table, const Array<double>& parameters) {
  py::gil_scoped_release release;
  check_plan(plan_of(table, parameters));
}

template <typename Function, std::size_t... I>
void define(py::module_& m, const char* name, Function* function, std::index_sequence<I...>) {
  m.def(name, function, ((void)I, py::arg().noconvert())...);
}

// Arrays of another type or layout are refused instead of copied; Python converts before it calls.
template <typename R, typename... Args>
void strict(py::module_& m, const char* name, R (*function)(Args...)) {
  define(m, name, function, std::index_sequence_for<Args...>{});
}

template <typename T>
void bind_precision(py::module_& m) {
  strict(m, "features", &features<T>);
  strict(m, "features_vjp", &features_vjp<T>);
  strict(m, "features_jvp", &features_jvp<T>);
  strict(m, "features_hvp", &features_hvp<T>);
  strict(m, "edge_classes", &edge_classes<T>);
  strict(m, "features_jacobian", &features_jacobian<T>);
  strict(m, "jacobian_vjp", &jacobian_vjp<T>);
  strict(m, "jacobian_jvp", &jacobian_jvp<T>);
}

}  // namespace

void bind_features(py::module_& m) {
  strict(m, "compile_features", &compile);
  strict(m, "class_columns", &class_columns);
  strict(m, "check_graph", &check);
  strict(m, "check_plan", &check_compiled);
  bind_precision<float>(m);
  bind_precision<double>(m);
}
