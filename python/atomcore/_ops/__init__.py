"""Torch operators over the compiled core, ``torch.ops.atomcore.*``; importing this package registers them.

Notation: N atoms (or rows, one a centre), S structures, P edges, K features. D are edge vectors [P, 3], G features
[N, K]; g and u are cotangents on G, v a tangent on D, J = dG/dD. ``plan`` stands for the two tensors ``table`` (int32)
and ``parameters`` (float64) of a feature set; ``graph`` for ``species`` (int32 [N]), ``row_ptr`` (int64 [N+1]) and
``neighbor`` (int64 [P]). Floating tensors are float32 or float64 alike, on the CPU.

===========================================  ========================  ==============  =============
``torch.ops.atomcore.``                      returns                   grad in g or v  grad in D
===========================================  ========================  ==============  =============
neighbor_list(pos, cell, pbc,                row_ptr, neighbor, shift  none            none
structure_ptr, cutoff)
edge_vectors(pos, cell, structure_ptr,       D                         linear: edge_scatter
row_ptr, neighbor, shift)
edge_scatter(g_D, structure_ptr, row_ptr,    dE/dpos [N,3],            linear: edge_vectors
neighbor, shift)                             dE/dcell [S,3,3]
features(plan, n_features, graph, D)         G                                         features_vjp
features_vjp(plan, n_features, graph, D, g)  J^T g [P,3]               features_jvp    features_hvp
features_jvp(plan, n_features, graph, D, v)  J v [N,K]                 features_vjp    features_hvp
features_hvp(plan, n_features, graph, D, g,  d/dD (g^T J v) [P,3]      raises          raises
v)
features_jacobian(plan, n_features, graph,   values [nnz,3],           none            none
D)                                           edge_class, row_offset
jacobian_vjp(plan, n_features, n_edges,      J^T g of the edges of     jacobian_jvp    (stored)
row_ptr, edge_class, row_offset, values,     ``rows``, in order
rows, g)
jacobian_jvp(plan, n_features, n_edges,      J v [len(rows),K]         jacobian_vjp    (stored)
row_ptr, edge_class, row_offset, values,
rows, v)
===========================================  ========================  ==============  =============

Third derivatives raise; they are never zero. Hessians (two derivatives in positions) work; training on Hessians and
``torch.func.grad`` do not. Forward mode (``torch.autograd.forward_ad``, ``torch.func.jvp``) raises: use
``features_jvp``.
"""

from atomcore._ops import edges, features, jacobian

__all__ = ["edges", "features", "jacobian"]
