"""The six components of a symmetric 3 x 3 tensor as one row, in ASE's order: xx, yy, zz, yz, xz, xy."""

VOIGT = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))  # rows and columns of the components
VASP_ORDER = [0, 1, 2, 4, 5, 3]  # where the components stand in VASP's order: xx, yy, zz, xy, yz, xz
