// The Jacobian of the features kept as one block for each edge, and its products with vectors: training on geometries
// that stay the same need not evaluate the functions again.
#include "src/feature_loops.hpp"
#include "src/parallel.hpp"

namespace atomcore::cpu {
namespace {

constexpr std::int64_t kGrain = 16;  // centres a thread must have to be worth starting

template <typename T>
void add(T* block, const Vec3<T>& x) {
  block[0] += x.x, block[1] += x.y, block[2] += x.z;
}

// Fills the blocks of one centre; blocks[e] is where edge e of the row starts, classes[e] its class.
template <typename T>
void jacobian_centre(const PlanView<T>& plan, Centre<T>& centre, const std::int32_t* classes,
                     const std::vector<T*>& blocks) {
  const auto block = [&](const Neighbor<T>& n, std::size_t group) {
    return blocks[n.edge] + 3 * plan.classes[classes[n.edge]].first[group];
  };
  for (std::size_t i = 0; i < plan.radial.size(); ++i) {
    const auto& group = plan.radial[i];
    for (std::size_t a = centre.all.begin(group.species); a < centre.all.end(group.species); ++a) {
      const Neighbor<T>& n = centre.all.list[a];
      if (!is_inside(n.r, group.cutoff)) continue;
      Jet<T> fc = math::cutoff_value(n.r, group.cutoff);
      if (group.weights) fc = {group.weights[n.species] * fc.f, group.weights[n.species] * fc.d};
      T* out = block(n, i);
      const T* p = group.parameters;
      for (int f = 0; f < group.n; ++f, p += plan_layout::kRadialStride, out += 3)
        add(out, p[0] * math::product(radial_term(group.kind, n.r, p), fc).d * n.unit);
    }
  }
  const AngularGroup<T>* group = nullptr;
  std::size_t group_index = 0;
  for_each_triplet<true>(
      plan, centre,
      [&](std::size_t i) {
        group = &plan.angular[i];
        group_index = plan.radial.size() + i;
      },
      [&](const Triplet<T>& t) {
        T *out_j = block(*t.j, group_index), *out_k = block(*t.k, group_index);
        for (int c = 0; c < group->n_columns; ++c, out_j += 3, out_k += 3) {
          const std::size_t s = group->cells[c] / group->n_angles, z = group->cells[c] % group->n_angles;
          const T w = group->prefactors[c] * t.A[z], w_c = group->prefactors[c] * t.A_c[z];
          const auto d = triplet_gradient(t, w * t.S_a[s], w * t.S_b[s], w * t.S_q[s], w_c * t.S[s]);
          add(out_j, d.j);
          add(out_k, d.k);
        }
      },
      [](std::size_t) {});
}

// Products with stored blocks run over flat arrays of 3 n_columns numbers: the cotangent (or tangent) is repeated to
// match, so that every load is contiguous. kPhase is a whole number of xyz triples and of vector registers.
constexpr int kPhase = 48;

template <typename T>
void dot_block(const T* block, const T* g3, int n, T* out) {
  T sum[kPhase] = {};
  int i = 0;
  for (; i + kPhase <= n; i += kPhase)
    for (int l = 0; l < kPhase; ++l) sum[l] += block[i + l] * g3[i + l];
  for (int l = 0; i < n; ++i, ++l) sum[l] += block[i] * g3[i];
  for (int d = 0; d < 3; ++d) {
    T total = 0;
    for (int l = d; l < kPhase; l += 3) total += sum[l];
    out[d] = total;
  }
}

template <typename T>
void add_block(const T* block, const T* v, int n, T* sum) {
  T v3[kPhase];
  for (int l = 0; l < kPhase; ++l) v3[l] = v[l % 3];
  int i = 0;
  for (; i + kPhase <= n; i += kPhase)
    for (int l = 0; l < kPhase; ++l) sum[i + l] += block[i + l] * v3[l];
  for (int l = 0; i < n; ++i, ++l) sum[i] += block[i] * v3[l];
}

// One array of 3 n_columns numbers for each edge class, made when a row first meets the class.
template <typename T>
class ClassBuffers {
 public:
  explicit ClassBuffers(const std::vector<EdgeClass>& classes) : classes_(classes), made_(classes.size()) {
    buffers_.resize(classes.size());
  }
  void next_row() {
    for (const int c : used_) made_[static_cast<std::size_t>(c)] = false;
    used_.clear();
  }
  template <typename Make>
  T* get(int c, Make&& make) {
    const auto i = static_cast<std::size_t>(c);
    if (!made_[i]) {
      buffers_[i].assign(static_cast<std::size_t>(3 * classes_[i].n_columns), T(0));
      make(classes_[i], buffers_[i].data());
      made_[i] = true;
      used_.push_back(c);
    }
    return buffers_[i].data();
  }
  const std::vector<int>& used() const { return used_; }

 private:
  const std::vector<EdgeClass>& classes_;
  std::vector<std::vector<T>> buffers_;
  std::vector<bool> made_;
  std::vector<int> used_;
};

// Position of each requested row's first edge in the packed order of `rows`.
std::vector<std::int64_t> packed_offsets(const StoredJacobian& jacobian, span<const std::int64_t> rows) {
  std::vector<std::int64_t> first(rows.size() + 1, 0);
  for (std::size_t m = 0; m < rows.size(); ++m)
    first[m + 1] = first[m] + jacobian.row_ptr[rows[m] + 1] - jacobian.row_ptr[rows[m]];
  return first;
}

}  // namespace

template <typename T>
void edge_classes(Plan plan, const Graph& graph, span<const T> D, span<std::int32_t> edge_class,
                  span<std::int64_t> row_offset, int n_threads) {
  const PlanView<T> view(plan);
  parallel_for(graph.n_rows(), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      std::int64_t size = 0;
      for (std::int64_t e = graph.row_ptr[row]; e < graph.row_ptr[row + 1]; ++e) {
        const T *d = D.data() + 3 * e, r = math::sqrt(math::dot(Vec3<T>{d[0], d[1], d[2]}, Vec3<T>{d[0], d[1], d[2]}));
        edge_class[e] = view.edge_class(graph.species[graph.neighbor[e]], r);
        size += view.classes[edge_class[e]].n_columns;
      }
      row_offset[row + 1] = size;
    }
  });
  row_offset[0] = 0;
  for (std::size_t row = 1; row < row_offset.size(); ++row) row_offset[row] += row_offset[row - 1];
}

template <typename T>
void features_jacobian(Plan plan, const Graph& graph, span<const T> D, span<const std::int32_t> edge_class,
                       span<const std::int64_t> row_offset, span<T> values, int n_threads) {
  const PlanView<T> view(plan);
  parallel_for(graph.n_rows(), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    Centre<T> centre;
    std::vector<T*> blocks;
    std::fill(values.data() + 3 * row_offset[begin], values.data() + 3 * row_offset[end], T(0));
    for (std::int64_t row = begin; row < end; ++row) {
      centre.load(view, graph, row, [&](std::int64_t e) { return Vec3<T>{D[3 * e], D[3 * e + 1], D[3 * e + 2]}; });
      blocks.assign(1, values.data() + 3 * row_offset[row]);
      for (std::int64_t e = graph.row_ptr[row]; e < graph.row_ptr[row + 1]; ++e)
        blocks.push_back(blocks.back() + 3 * view.classes[edge_class[e]].n_columns);
      jacobian_centre(view, centre, edge_class.data() + graph.row_ptr[row], blocks);
    }
  });
}

template <typename T>
void jacobian_vjp(Plan plan, const StoredJacobian& jacobian, span<const T> values, span<const std::int64_t> rows,
                  span<const T> g, span<T> g_D, int n_threads) {
  const PlanView<T> view(plan);
  const std::vector<std::int64_t> first = packed_offsets(jacobian, rows);
  parallel_for(static_cast<std::int64_t>(rows.size()), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    ClassBuffers<T> repeated(view.classes);
    for (std::int64_t m = begin; m < end; ++m) {
      const T *g_row = g.data() + m * view.n_features, *block = values.data() + 3 * jacobian.row_offset[rows[m]];
      T* out = g_D.data() + 3 * first[m];
      repeated.next_row();
      for (std::int64_t e = jacobian.row_ptr[rows[m]]; e < jacobian.row_ptr[rows[m] + 1]; ++e, out += 3) {
        const T* g3 = repeated.get(jacobian.edge_class[e], [&](const EdgeClass& c, T* buffer) {
          for (int i = 0; i < c.n_columns; ++i)
            for (int d = 0; d < 3; ++d) buffer[3 * i + d] = g_row[c.columns[i]];
        });
        const int n = 3 * view.classes[jacobian.edge_class[e]].n_columns;
        dot_block(block, g3, n, out);
        block += n;
      }
    }
  });
}

template <typename T>
void jacobian_jvp(Plan plan, const StoredJacobian& jacobian, span<const T> values, span<const std::int64_t> rows,
                  span<const T> v, span<T> dG, int n_threads) {
  const PlanView<T> view(plan);
  const std::vector<std::int64_t> first = packed_offsets(jacobian, rows);
  parallel_for(static_cast<std::int64_t>(rows.size()), n_threads, kGrain, [&](std::int64_t begin, std::int64_t end) {
    ClassBuffers<T> sums(view.classes);
    for (std::int64_t m = begin; m < end; ++m) {
      const T *v_row = v.data() + 3 * first[m], *block = values.data() + 3 * jacobian.row_offset[rows[m]];
      T* out = dG.data() + m * view.n_features;
      sums.next_row();
      for (std::int64_t e = jacobian.row_ptr[rows[m]]; e < jacobian.row_ptr[rows[m] + 1]; ++e, v_row += 3) {
        T* sum = sums.get(jacobian.edge_class[e], [](const EdgeClass&, T*) {});
        const int n = 3 * view.classes[jacobian.edge_class[e]].n_columns;
        add_block(block, v_row, n, sum);
        block += n;
      }
      std::fill(out, out + view.n_features, T(0));
      for (const int c : sums.used()) {
        const T* sum = sums.get(c, [](const EdgeClass&, T*) {});
        for (int i = 0; i < view.classes[c].n_columns; ++i)
          out[view.classes[c].columns[i]] += sum[3 * i] + sum[3 * i + 1] + sum[3 * i + 2];
      }
    }
  });
}

#define ATOMCORE_INSTANTIATE(T)                                                                                   \
  template void edge_classes(Plan, const Graph&, span<const T>, span<std::int32_t>, span<std::int64_t>, int);     \
  template void features_jacobian(Plan, const Graph&, span<const T>, span<const std::int32_t>,                    \
                                  span<const std::int64_t>, span<T>, int);                                        \
  template void jacobian_vjp(Plan, const StoredJacobian&, span<const T>, span<const std::int64_t>, span<const T>, \
                             span<T>, int);                                                                       \
  template void jacobian_jvp(Plan, const StoredJacobian&, span<const T>, span<const std::int64_t>, span<const T>, \
                             span<T>, int);
ATOMCORE_INSTANTIATE(float)
ATOMCORE_INSTANTIATE(double)
#undef ATOMCORE_INSTANTIATE

}  // namespace atomcore::cpu
