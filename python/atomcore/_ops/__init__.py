"""Torch operators over the compiled core, ``torch.ops.atomcore.*``; importing this package registers them.

Notation: N atoms (or rows, one a centre), S structures, P edges, K features. D are edge vectors [P, 3], G features
[N, K]; g and u are cotangents on G, v a tangent on D, J = dG/dD. ``plan`` stands for the two tensors ``table`` (int32) and
``parameters`` (float64) of a feature set; ``graph`` for ``species`` (int32 [N]), ``row_ptr`` (int64 [N+1]) and ``neighbor``
(int64 [P]). Floating tensors are float32 or float64 alike, on the CPU.

====================================================  =========================  ==========================  ==============
``torch.ops.atomcore.``                               returns                    gradient in g or v          gradient in D
====================================================  =========================  ==========================  ==============
neighbor_list(pos, cell, pbc, structure_ptr, cutoff)  row_ptr, neighbor, shift   none                        none
edge_vectors(pos, cell, structure_ptr, row_ptr,       D                          linear: edge_scatter
neighbor, shift)
edge_scatter(g_D, structure_ptr, row_ptr, neighbor,   dE/dpos [N,3],             linear: edge_vectors
shift)                                                dE/dcell [S,3,3]
features(plan, n_features, graph, D)                  G                                                      features_vjp
features_vjp(plan, n_features, graph, D, g)           J^T g [P,3]                features_jvp(D, v)          features_hvp
features_jvp(plan, n_features, graph, D, v)           J v [N,K]                  features_vjp(D, u)          features_hvp
features_hvp(plan, n_features, graph, D, g, v)        d/dD (g^T J v) [P,3]       raises                      raises
features_jacobian(plan, graph, D)                     values [nnz,3],            not differentiable
                                                      edge_class, row_offset
jacobian_vjp(plan, n_features, n_edges, row_ptr,      J^T g of the edges of      jacobian_jvp                (stored)
edge_class, row_offset, values, rows, g)              ``rows``, in order
jacobian_jvp(plan, n_features, n_edges, row_ptr,      J v [len(rows),K]          jacobian_vjp                (stored)
edge_class, row_offset, values, rows, v)
====================================================  =========================  ==========================  ==============

Third derivatives raise; they are never zero. Hessians (two derivatives in positions) work; training on Hessians and
``torch.func.grad`` do not.
"""

from atomcore._ops import edges, features, jacobian

__all__ = ["edges", "features", "jacobian"]
