/* The C interface of atomcore: a model file in; energies, forces and virials out. For C11, and for C++ and Fortran.
 *
 * Lengths are in Angstrom and energies in eV, always. Every function that can fail returns a status; the message of the
 * last failure in this thread is atomcore_last_error(). Nothing prints, exits, aborts or throws.
 *
 * A model does not change once loaded: any number of threads may use it at a time, each with a workspace of its own.
 *
 * Structs grow at their end. Their first member `size` is what sizeof gave where the caller was compiled: a library
 * that knows more members leaves those behind it alone. The macros ATOMCORE_..._INIT set it and clear all the rest.
 */
#ifndef ATOMCORE_H
#define ATOMCORE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define ATOMCORE_API __attribute__((visibility("default")))
#else
#define ATOMCORE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum atomcore_status {
  ATOMCORE_OK = 0,
  ATOMCORE_INVALID_VALUE = 1, /* an argument or a structure makes no sense; the message names it */
  ATOMCORE_OUT_OF_MEMORY = 2,
  ATOMCORE_CORRUPT_FILE = 3,
  ATOMCORE_UNSUPPORTED = 4, /* a newer file, or something that this kind of model cannot do */
  ATOMCORE_OVERFLOW = 5,    /* energy or forces are not finite: far from what the model was trained on */
  ATOMCORE_IO = 6,
  ATOMCORE_INTERNAL = 7
} atomcore_status;

typedef struct atomcore_model atomcore_model;
typedef struct atomcore_workspace atomcore_workspace;

/* Version of the library, "MAJOR.MINOR.PATCH". */
ATOMCORE_API const char* atomcore_version(void);
/* The message of the last failure in this thread; "" before the first. Valid until the next failure. */
ATOMCORE_API const char* atomcore_last_error(void);

typedef struct atomcore_load_options {
  size_t size;
  int single_precision; /* features and networks in float; sums, neighbours and reference energies stay in double */
} atomcore_load_options;
#define ATOMCORE_LOAD_OPTIONS_INIT {sizeof(atomcore_load_options), 0}

/* Reads a model file. `options` may be NULL. */
ATOMCORE_API atomcore_status atomcore_model_load(const char* path, const atomcore_load_options* options,
                                                 atomcore_model** model);
/* NULL is accepted. Workspaces of the model must be gone. */
ATOMCORE_API void atomcore_model_free(atomcore_model* model);

typedef struct atomcore_info {
  size_t size;
  const char* kind;       /* "behler_parrinello", "atomic_kernel", "structure_kernel", "gdml", "many_body" */
  const char* capability; /* "local", "molecular", "global" */
  const char* target;     /* "energy" or "charges"; only models of energies can be computed here */
  double cutoff;          /* Angstrom; 0 unless the model is local */
  int32_t n_elements;
  const char* const* symbols; /* [n_elements] */
  const int32_t* numbers;     /* [n_elements], atomic numbers */
  int32_t members;            /* of an ensemble; 1 for a single model */
  int32_t has_energies;       /* whether atoms have energies of their own */
  int32_t has_spread;         /* whether the model knows how far its answer may be off */
  int32_t has_ranges;         /* whether extrapolation can be told by ranges of features */
  int32_t has_grade;          /* whether the file has what grades of extrapolation need */
  const char* metadata;       /* the JSON text of the file */
} atomcore_info;
#define ATOMCORE_INFO_INIT {sizeof(atomcore_info), NULL, NULL, NULL, 0.0, 0, NULL, NULL, 0, 0, 0, 0, 0, NULL}

/* Fills `info`; its pointers are valid as long as the model. */
ATOMCORE_API atomcore_status atomcore_model_info(const atomcore_model* model, atomcore_info* info);
/* The index of an element by its symbol ("Si"), or -1. */
ATOMCORE_API int32_t atomcore_element_index(const atomcore_model* model, const char* symbol);

/* Room for the calculations of one thread, which may use up to `n_threads` of its own. Results do not depend on their
 * number, to the last bit. */
ATOMCORE_API atomcore_status atomcore_workspace_create(const atomcore_model* model, int32_t n_threads,
                                                       atomcore_workspace** workspace);
ATOMCORE_API void atomcore_workspace_free(atomcore_workspace* workspace);

/* What to compute, and where to put it. Arrays that are NULL are not computed. Of n_atoms below, ghost atoms of a host
 * are a part. Forces, energies and virials are ADDED to the host's arrays; everything else is written, and for the
 * centres only. When a call fails no array has been touched. */
typedef struct atomcore_results {
  size_t size;
  double energy;         /* eV, sum over the centres */
  double virial[9];      /* eV, sum of r (x) f = -dE/dstrain, rows first; only beside forces or virials of any kind */
  double* forces;        /* [n_atoms, 3], eV/A */
  double* energies;      /* [n_atoms], eV, of the centres */
  double* virials;       /* [n_atoms, 9], eV: of each pair what the energy of the centre says, given to the neighbour */
  double* member_forces; /* [members, n_atoms, 3], eV/A, of every member of an ensemble; also added to */
  double energy_spread;  /* eV, standard deviation; only where forces_spread or energies_spread is wanted */
  double* energies_spread; /* [n_atoms], eV */
  double* forces_spread;   /* [n_atoms, 3], eV/A; of whole structures only: hosts with ghosts ask for member_forces */
  int32_t* outside;        /* [n_atoms], how many features of the atom lie outside the ranges seen in training */
  double* excess;          /* [n_atoms], how far the worst one does, in units of its range; 0 for none */
  double* grade;           /* [n_atoms], extrapolation grade: 1 is the most extreme atom in training */
} atomcore_results;
#define ATOMCORE_RESULTS_INIT \
  {sizeof(atomcore_results), 0.0, {0.0}, NULL, NULL, NULL, NULL, 0.0, NULL, NULL, NULL, NULL, NULL}

/* A whole structure; atomcore finds the neighbours, and keeps them from call to call while atoms move little. */
typedef struct atomcore_structure {
  size_t size;
  int64_t n_atoms;
  const double* positions; /* [n_atoms, 3] */
  const int32_t* numbers;  /* [n_atoms], atomic numbers */
  const double* cell;      /* [3, 3], lattice vectors as rows; NULL where nothing is periodic */
  const int32_t* pbc;      /* [3], which lattice vectors are periodic; NULL: all of them if there is a cell */
} atomcore_structure;
#define ATOMCORE_STRUCTURE_INIT {sizeof(atomcore_structure), 0, NULL, NULL, NULL, NULL}

ATOMCORE_API atomcore_status atomcore_compute(atomcore_workspace* workspace, const atomcore_structure* structure,
                                              atomcore_results* results);

/* Some atoms of a structure with the host's own full neighbour lists, for local models. Neighbours are any atoms,
 * periodic images being ghost atoms with positions of their own. Pairs beyond the cutoff are skipped. */
typedef struct atomcore_neighbors {
  size_t size;
  int64_t n_atoms;                  /* own and ghost atoms */
  const double* positions;          /* [n_atoms, 3] */
  const int32_t* types;             /* [n_atoms]: indices of elements of the model, or of what element_of_type has */
  const int32_t* element_of_type;   /* indices of elements by type, negative for atoms that the model is not to see;
                                       NULL where types are such indices themselves */
  int32_t n_types;                  /* length of element_of_type */
  int32_t n_centres;                /* length of ilist */
  const int32_t* ilist;             /* [n_centres], the atoms whose energies are summed */
  const int32_t* numneigh;          /* [n_atoms], by atom: length of its list */
  const int32_t* const* firstneigh; /* [n_atoms], by atom: its list */
  int32_t neighbor_mask;            /* bits of an entry of a list that are the index of an atom; 0 for all */
} atomcore_neighbors;
#define ATOMCORE_NEIGHBORS_INIT {sizeof(atomcore_neighbors), 0, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL, 0}

ATOMCORE_API atomcore_status atomcore_compute_neighbors(atomcore_workspace* workspace,
                                                        const atomcore_neighbors* neighbors, atomcore_results* results);

#ifdef __cplusplus
}
#endif

#endif
